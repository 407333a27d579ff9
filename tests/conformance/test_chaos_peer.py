"""OpenEnv's own server: what of it holds, and what does not, in version 0.10.0."""

from __future__ import annotations

import pytest
from checked import HERE, broke, checked, of, process
from support.openenv_peer import peer

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["asyncio-debug"])]


async def test_what_breaks_on_the_peer() -> None:
    with process([peer(), str(HERE / "peer_server.py"), "8"]) as url:
        report = await checked(url)
    assert broke(report) == ["lost-socket", "garbage-object", "garbage-binary", "garbage-depth", "garbage-size"]
    assert report.wires == ["json"] and report.max_sessions == 8
    assert of(report, "cut-native").verdict == "not judged"
    assert of(report, "neighbour").verdict == "held"


async def test_a_peer_with_one_place() -> None:
    with process([peer(), str(HERE / "peer_server.py"), "1"]) as url:
        report = await checked(url, chaos=False)
    assert broke(report) == ["lost-socket"]
    assert of(report, "leaving").verdict == "held"
    assert of(report, "mixing").verdict == "not judged"
