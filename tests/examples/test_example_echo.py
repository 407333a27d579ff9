"""The echo example, played over a socket as its README shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest
from echo_env import AsyncEchoEnv, EchoAction, EchoEnv, EchoObservation
from example_server import served


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("examples/echo_env") as url:
        yield url


@pytest.mark.parametrize("wire", ["native", "json"])
async def test_echo_sends_every_message_back_and_pays_by_the_character(
    url: str, wire: Literal["native", "json"]
) -> None:
    async with AsyncEchoEnv(url, wire=wire, message_timeout_s=10) as env:
        first = await env.reset(episode_id="mine")
        assert first.observation.echoed_message == "Echo environment ready!"
        result = await env.step(EchoAction(message="héllo\n"))
        assert isinstance(result.observation, EchoObservation)
        assert (result.observation.echoed_message, result.observation.message_length) == ("héllo\n", 6)
        assert result.reward == pytest.approx(0.6)
        assert not result.done
        assert (await env.step(EchoAction(message=""))).done
        state = await env.state()
        assert (state.episode_id, state.step_count) == ("mine", 2)


async def test_echo_holds_many_sessions_at_once(url: str) -> None:
    async def play(number: int) -> None:
        async with AsyncEchoEnv(url, message_timeout_s=30) as env:
            await env.reset()
            for step in range(3):
                message = f"{number}.{step}"
                assert (await env.step(EchoAction(message=message))).observation.echoed_message == message

    await asyncio.gather(*(play(number) for number in range(256)))


def test_echo_answers_code_without_await(url: str) -> None:
    with EchoEnv(base_url=url) as env:
        env.reset()
        assert env.step(EchoAction(message="hello")).observation.message_length == 5
