"""Every script with the world that it is played in, and where its golden transcript is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scripts_authors
import scripts_basics
import scripts_found
import scripts_tools

GOLDEN = Path(__file__).with_name("golden")

Variables = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Case:
    """One script in one world, which is served with these variables set."""

    name: str
    world: str
    moves: list[dict[str, Any]]
    variables: Variables = ()

    @property
    def golden(self) -> Path:
        return GOLDEN / f"{self.name}.json"


def _cases(world: str, scripts: dict[str, list[dict[str, Any]]], label: str = "", **variables: str) -> list[Case]:
    chosen = tuple(sorted(variables.items()))
    return [Case(f"{world}-{label}{name}", world, moves, chosen) for name, moves in scripts.items()]


CASES = {
    case.name: case
    for case in [
        *_cases("basics", scripts_basics.SCRIPTS),
        *_cases("basics", scripts_basics.WITH_PAGE, "page-", ENABLE_WEB_INTERFACE="true"),
        *_cases("authors", scripts_authors.SCRIPTS),
        *_cases("found", scripts_found.SCRIPTS),
        *_cases("tools", scripts_tools.SCRIPTS),
    ]
}


def grouped(cases: Iterable[Case]) -> dict[tuple[str, Variables], list[Case]]:
    """Put those together that are played on the same server."""
    groups: dict[tuple[str, Variables], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.world, case.variables), []).append(case)
    return groups
