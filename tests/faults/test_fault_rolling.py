"""A server is replaced under its clients: the old one drains while the new one takes over, and no call fails."""

from __future__ import annotations

import asyncio
import signal

import pytest
from players import Player, players
from requirements import requirement
from server_process import server_process
from support.fault_proxy import Proxy
from support.servers import bounded

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["uvloop"])]

SESSIONS, EPISODE = 200, 25
GRACE_S = 20.0


async def play_episodes(player: Player, over: asyncio.Event) -> set[str]:
    """Play episode after episode until it is over, and one more; gives the environments that they were played in."""
    names = set()
    last = False
    while not last:
        last = over.is_set()
        await player.begin()
        for _ in range(EPISODE):
            await player.step()
        names.add(player.ledger.name)
        assert not player.ledger.wrong, player.ledger.last_wrong
    return names


@requirement("faults:rolling")
async def test_no_call_fails_while_one_server_takes_over_from_another() -> None:
    async with server_process(arguments=("--grace", str(GRACE_S))) as old, server_process() as new:
        with Proxy(old.address) as proxy:
            async with players(proxy.url, SESSIONS) as made:
                over = asyncio.Event()
                playing = asyncio.gather(*(play_episodes(player, over) for player in made))
                await asyncio.wait([playing], timeout=0.5)
                proxy.target = new.address
                assert await old.end(signal.SIGTERM, GRACE_S + 10) == 0
                over.set()
                names = await bounded(playing, 60)
                # Everybody has moved; nobody's episode was begun in one environment and ended in another.
                assert all(len(played) >= 2 for played in names)
                assert (await new.look())["sessions"] == SESSIONS
