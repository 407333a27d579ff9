"""What this runtime says is what OpenEnv 0.10.0 said when the golden transcripts were written, and still says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from interop_cases import CASES, GOLDEN, Case, Variables
from interop_playing import Player
from interop_servers import free_port, our_command, peer_command, serving
from requirements import requirement
from support.openenv_peer import peer


class Servers:
    """The servers of one side, started when first asked for."""

    def __init__(self, stack: contextlib.ExitStack, *options: str, ours: bool) -> None:
        self._stack, self._options, self._ours = stack, options, ours
        self._urls: dict[tuple[str, Variables], str] = {}

    def url(self, case: Case) -> str:
        key = case.world, case.variables
        if key not in self._urls:
            port = free_port()
            command = (
                [*our_command(case.world, port), *self._options]
                if self._ours
                else peer_command(peer(), case.world, port)
            )
            self._urls[key] = self._stack.enter_context(serving(command, port, dict(case.variables)))
        return self._urls[key]


@pytest.fixture(scope="module")
def ours() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack, ours=True)


@pytest.fixture(scope="module")
def processes() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack, "--execution", "process", ours=True)


@pytest.fixture(scope="module")
def theirs() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack, ours=False)


def golden(case: Case) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = json.loads(case.golden.read_text(encoding="utf-8"))
    assert [pair["move"] for pair in pairs] == case.moves, "the script has changed: run tests/interop/record.py"
    return pairs


def check(case: Case, url: str) -> None:
    said = Player(url).play(case.moves)
    for pair, answer in zip(golden(case), said, strict=True):
        assert answer == pair["said"], f"the answer to {json.dumps(pair['move'])[:300]}"


@requirement("compat:parity")
@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_this_runtime_answers_as_openenv_does(case: Case, ours: Servers) -> None:
    check(case, ours.url(case))


IN_PROCESSES = [name for name in CASES if name.startswith("tools-")] + [
    "basics-ws-episode",
    "basics-ws-actions",
    "basics-ws-values",
    "basics-http-step",
    "basics-http-questions",
    "authors-tasks",
    "authors-fails",
]


@requirement("compat:parity")
@pytest.mark.parametrize("name", IN_PROCESSES)
def test_environments_in_processes_answer_so_too(name: str, processes: Servers) -> None:
    check(CASES[name], processes.url(CASES[name]))


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_openenv_still_answers_so(case: Case, theirs: Servers) -> None:
    check(case, theirs.url(case))


def test_no_transcript_is_left_of_a_script_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)
