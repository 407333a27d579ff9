"""Each client on each server: OpenEnv's and ours, with sync, async and tool environments.

The programs in `programs` are a trainer's code for OpenEnv's client. Every pairing
must print what OpenEnv's client printed on OpenEnv's server when the transcripts in
`golden_client` were written: `OPENENV_PEER=... python tests/interop/record_client.py`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from interop_client_programs import GOLDEN, OURS, PLAYS, Play, run
from interop_servers import free_port, our_command, peer_command, serving
from requirements import requirement
from support.openenv_peer import peer

SIDES = ("openenv", "ours")


class Worlds:
    """Servers of both sides, started when first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._urls: dict[tuple[str, str], str] = {}

    def url(self, side: str, world: str) -> str:
        if (side, world) not in self._urls:
            port = free_port()
            command = our_command(world, port) if side == "ours" else peer_command(peer(), world, port)
            self._urls[side, world] = self._stack.enter_context(serving(command, port))
        return self._urls[side, world]


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with contextlib.ExitStack() as stack:
        yield Worlds(stack)


def transcript(play: Play) -> list[Any]:
    lines: list[Any] = json.loads((GOLDEN / f"{play.name}.json").read_text(encoding="utf-8"))
    return lines


@requirement("compat-client:interop")
@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.name)
@pytest.mark.parametrize("server", SIDES)
@pytest.mark.parametrize("client", SIDES)
def test_a_program_for_openenvs_client_prints_the_same(client: str, server: str, play: Play, worlds: Worlds) -> None:
    interpreter = OURS if client == "ours" else [peer()]
    assert run([*interpreter, play.program, worlds.url(server, play.world)]) == transcript(play)


@requirement("compat-client:interop")
@pytest.mark.parametrize("world", ["client_sync", "client_async"])
@pytest.mark.parametrize("server", SIDES)
def test_our_own_clients_play_on_both(server: str, world: str, worlds: Worlds) -> None:
    assert run([OURS[0], "our_play.py", worlds.url(server, world)]) == [
        {"async reset": [17, "begun", None, False]},
        {"async step": [19, "two", 2, False]},
        {"async raises": "the move is not allowed"},
        {"async refuses": True},
        {"async state": ["e1", 1, 19]},
        {"reset": [1, "begun", None, False]},
        {"step": [101, "far", 100, True]},
    ]
