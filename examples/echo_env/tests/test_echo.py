"""Plays whole episodes against the server's app, in this process and without a port."""

from __future__ import annotations

import asyncio

from echo_env import AsyncEchoEnv, EchoAction, EchoEnv
from echo_env.server.app import app


def test_every_session_hears_its_own_messages() -> None:
    """The async client, as a training loop uses it: many sessions at once."""

    async def play(number: int) -> list[str]:
        async with AsyncEchoEnv(app) as env:
            result = await env.reset()
            heard = []
            for message in (f"first of {number}", f"second of {number}", ""):
                assert not result.done
                result = await env.step(EchoAction(message=message))
                heard.append(result.observation.echoed_message)
            assert result.done
        return heard

    async def play_all() -> list[list[str]]:
        return await asyncio.gather(*(play(number) for number in range(20)))

    for number, heard in enumerate(asyncio.run(play_all())):
        assert heard == [f"first of {number}", f"second of {number}", ""]


def test_a_message_earns_a_tenth_per_character() -> None:
    """The sync client, as a notebook uses it."""
    with EchoEnv(app) as env:
        env.reset(episode_id="one")
        result = env.step(EchoAction(message="0123456789"))
        assert result.observation.message_length == 10
        assert result.reward == 1.0
        assert env.state().episode_id == "one"
        assert env.state().step_count == 1
