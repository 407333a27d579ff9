"""A short soak: 3 s, 30 s when everything runs. `make soak` is the long one."""

from __future__ import annotations

import pytest
from conftest import TEST_ALL
from requirements import requirement
from soak import soak
from support.fault_plans import seeded
from support.servers import bounded

pytestmark = pytest.mark.slow

SECONDS = 30.0 if TEST_ALL else 3.0


@requirement("faults:soak")
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.filterwarnings("ignore:(?s).*was not closed:ResourceWarning")
async def test_nothing_grows_under_everything_at_once() -> None:
    with seeded() as seed:
        report = await bounded(soak(SECONDS, seed), SECONDS + 60)
        text = "\n".join(report.lines())
        assert report.problems == [], text
        assert report.done["steps"] > 1000, text
        for name in ("play", "json", "http", "hang", "raise", "give_up", "vanish", "idle"):
            assert report.done[name], text
