"""Where a session cannot go on, its client says so: the JSON wire under cuts, servers that are killed."""

from __future__ import annotations

import asyncio
import signal

import pytest
from players import Player, judge, players
from requirements import requirement
from server_process import server_process
from support.fault_plans import Cuts, healthy, seeded
from support.fault_proxy import Proxy
from support.servers import bounded

from openenv_async.errors import ConnectFailed, SessionLost

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


class Milestone:
    """Set when so many steps have been played by all together."""

    def __init__(self, steps: int) -> None:
        self.steps, self.reached = steps, asyncio.Event()

    def count(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            self.reached.set()


async def _play_until_lost(player: Player, milestone: Milestone | None = None) -> None:
    """Play; when the session is lost, see that it stays lost until reset, and say so by returning."""
    try:
        while True:
            await player.step()
            if milestone is not None:
                milestone.count()
    except SessionLost:
        for _ in range(2):
            with pytest.raises(SessionLost, match=r"reset\(\)"):
                await player.step()
            with pytest.raises(SessionLost, match=r"reset\(\)"):
                await player.env.state()


async def _begin_again(player: Player) -> None:
    """Reset until it works: the network may cut that too."""
    name = player.ledger.name
    while True:
        try:
            await player.begin()
        except (SessionLost, ConnectFailed):
            continue
        assert player.ledger.name != name, "it went on in an environment that it had lost"
        return


@requirement("faults:json-loud")
async def test_the_json_wire_under_cuts_says_session_lost_each_time() -> None:
    async def play(player: Player) -> None:
        for _ in range(10):
            await _play_until_lost(player)
            await _begin_again(player)

    with seeded() as seed:
        async with server_process() as server:
            with Proxy(server.address) as proxy:
                async with players(proxy.url, 20, wire="json") as made:
                    # Every connection is cut, for as long as this goes on.
                    proxy.arm(Cuts(seed, most_bytes=6000, times=10**6))
                    await bounded(asyncio.gather(*(play(player) for player in made)), 40)
                    proxy.arm(healthy)
                    for player in made:
                        await player.begin()
                        await player.step()
                    assert sum((player.ledger.wrong for player in made), start=made[0].ledger.wrong) == {}
                seen = await server.until("sessions", 0)
                assert seen["counts"]["built"] == seen["counts"]["closed"]


@requirement("faults:restart")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_two_hundred_sessions_lose_their_server(wire: str) -> None:
    async with server_process() as server:
        async with players(server.url, 200, wire=wire) as made:
            milestone = Milestone(1000)
            losing = asyncio.gather(*(_play_until_lost(player, milestone) for player in made))
            await bounded(milestone.reached.wait())
            server.process.send_signal(signal.SIGKILL)
            await bounded(server.process.wait())
            async with server_process(server.port) as again:
                await bounded(losing, 30)
                assert all(not player.env.connected for player in made)
                assert (await again.look())["counts"].get("built", 0) == 0, "a client began again without being asked"
                await bounded(asyncio.gather(*(_begin_again(player) for player in made)), 30)
                await bounded(asyncio.gather(*(player.step() for player in made)))
                assert judge(made, (await again.look())["executed"]) == {}
