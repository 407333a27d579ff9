"""Four slots and sixty-four clients, all at once: each is served, in its turn."""

from __future__ import annotations

import asyncio

import pytest
from players import Player, judge
from requirements import requirement
from server_process import server_process
from support.servers import bounded

SLOTS, CLIENTS, EPISODES, STEPS = 4, 64, 3, 5

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["uvloop"])]


@requirement("faults:room")
@pytest.mark.parametrize("lanes", [1, 8])
async def test_every_client_is_served_in_its_turn(lanes: int) -> None:
    async with server_process(max_sessions=SLOTS) as server:
        served: list[int] = []

        async def play(number: int, episode: int) -> Player:
            player = Player(server.url, number % lanes)
            try:
                await player.env.open()
                if episode == 0:
                    served.append(number)
                await player.begin()
                for _ in range(STEPS):
                    await player.step()
            finally:
                await player.env.close()
            return player

        async def live(number: int) -> list[Player]:
            return [await play(number, episode) for episode in range(EPISODES)]

        lives = await bounded(asyncio.gather(*(live(number) for number in range(CLIENTS))), 30)
        made = [player for life in lives for player in life]
        assert len(made) == CLIENTS * EPISODES
        # Those of one connection came in the order of their numbers; as many as there are slots open at once.
        for lane in range(lanes):
            order = [number for number in served if number % lanes == lane]
            due = sorted(order)
            assert len(order) == CLIENTS // lanes
            assert max(abs(order.index(number) - due.index(number)) for number in order) < SLOTS, order
        seen = await server.until("sessions", 0)
        assert judge(made, seen["executed"]) == {}
        assert seen["counts"]["built"] == seen["counts"]["closed"] == CLIENTS * EPISODES
