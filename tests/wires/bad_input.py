"""What the tests of bad input share: a session that has stepped once, and the proof that it steps on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.play_env import Execution, play_app
from support.raw_clients import RawClient, Said, raw_client
from support.servers import Journal, serving

WIRES = pytest.mark.parametrize("wire", ["json", "native"])
EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


@contextlib.asynccontextmanager
async def playing(
    wire: str, execution: Execution = "inline", journal: Journal | None = None, **options: Any
) -> AsyncIterator[RawClient]:
    """A session that has been reset and has made one step: its total is 1."""
    async with serving(play_app(journal or Journal(), execution, **options)) as served:
        async with raw_client(wire, served.url) as client:
            assert (await client.reset(seed=1)).total == 0
            assert (await client.step(n=1)).total == 1
            yield client


async def goes_on(client: RawClient) -> None:
    """The same environment answers, and no step was made but those asked for."""
    assert (await client.step(n=1)).total == 2
    assert (await client.state()).body["total"] == 2


def is_error(said: Said, code: str, *words: str) -> None:
    assert said.code == code, said
    assert said.details["fault"] in ("task", "infrastructure")
    for word in words:
        assert word in said.message + str(said.details), said
