"""docs/observability.md names the metrics that there are, with types and labels, and no others; and the events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from support.logs_and_metrics import scrape
from support.servers import serving

from openenv_async import AsyncEnv, Environment, create_app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")


class Quiet(Environment[Any, Any, Any]):
    execution = "process"

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return {}

    def step(self, action: Any) -> Any:
        raise ValueError("no")

    @property
    def state(self) -> Any:
        return {}


def documented() -> dict[str, tuple[str, set[str]]]:
    found = {}
    for names, kind, labels in re.findall(r"^\| (`openenv_[^|]*) \| (\w+) \|([^|]*)\|", PAGE, flags=re.MULTILINE):
        for name in re.findall(r"`(openenv_\w+)`", names):
            found[name.removesuffix("_total")] = (kind, set(re.findall(r"`(\w+)`", labels)))
    return found


async def test_the_table_is_what_a_server_exposes() -> None:
    async with serving(create_app(Quiet, dict, dict)) as served:
        async with AsyncEnv[Any, Any, Any](served.url) as env:
            await env.reset()
            try:
                await env.step({})
            except Exception as exc:
                assert getattr(exc, "code", "") == "EXECUTION_ERROR"
        found = await scrape(served.url)
    exposed = {}
    for name, family in found.families.items():
        if name.startswith("openenv_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            exposed[name.removesuffix("_total")] = (family.type, labels)
    assert documented() == exposed


def test_the_events_are_those_of_the_code() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "openenv_async").rglob("*.py"))
    used = set(re.findall(r'\bevent="(\w+)"', code)) | set(re.findall(r'"event": "(\w+)"', code))
    table = PAGE[PAGE.index("| event | level | fields |") : PAGE.index("The trainer has the same names")]
    told = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    }
    assert told == used
