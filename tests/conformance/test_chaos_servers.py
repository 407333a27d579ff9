"""Our own server holds; servers that break one promise are found out by the check of that promise, and no other."""

from __future__ import annotations

import pytest
from checked import bad_resume, bad_server, broke, checked, of, own_server
from requirements import requirement

from openenv_async.client import AsyncEnv
from openenv_async.conformance.chaos.run import ids

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["asyncio-debug"])]

FOUND = {
    "none": set[str](),
    "fresh": {"lost-socket"},
    "dies": {"garbage-text"},
    "ends": {"garbage-text", "garbage-depth"},
    "leaks": {"leaving-midstep"},
    "mixes": {"mixing", "seeds"},
    "hangs": {"neighbour"},
    "random": {"seed"},
    "lax": {"wrong-action"},
    "mute": {"capacity"},
    "deaf": {"garbage-binary"},
    "counts": {"garbage-binary"},
    "swaps": {"two-at-once"},
}
"""By sin: what must be found, and all that may be. Deep nesting is one kind of what is no JSON."""

MAY_FOLLOW = {"dies": {"neighbour"}, "mixes": {"neighbour", "seed", "cut-json"}}
"""What such a server does to others too."""


@requirement("check:finds")
@pytest.mark.parametrize("sin", FOUND)
async def test_a_broken_promise_is_found(sin: str) -> None:
    with bad_server(sin) as url:
        report = await checked(url)
    assert report.complete
    found = set(broke(report))
    assert FOUND[sin] <= found <= FOUND[sin] | MAY_FOLLOW.get(sin, set()), report.as_json()
    assert report.ok == (not found)
    for name in found:
        finding = of(report, name)
        assert finding.expected and finding.sentence and finding.why


@requirement("check:finds")
@pytest.mark.parametrize(("sin", "seen"), [("twice", "count is 2 and then 3"), ("fresh", "count is 2 and then 1")])
async def test_a_resumption_that_lies_is_found(sin: str, seen: str) -> None:
    with bad_resume(sin) as url:
        report = await checked(url)
    # A session that is resumed as another keeps the place of the first until its window is over, which shows in
    # the next check that counts places.
    assert {"cut-native"} <= set(broke(report)) <= {"cut-native", "garbage-text", "leaving-midstep"}
    assert seen in of(report, "cut-native").sentence


async def test_what_comes_after_the_end_of_the_server_is_not_judged() -> None:
    with bad_server("dies") as url:
        report = await checked(url)
    assert "the server does not answer any longer" in of(report, "garbage-text").sentence
    after = report.findings[report.findings.index(of(report, "garbage-text")) + 1 :]
    assert {finding.sentence for finding in after} == {"the server is gone since garbage-text"}
    assert {finding.verdict for finding in after} == {"not judged"}


async def test_the_neighbour_says_during_what_it_waited() -> None:
    with bad_server("hangs") as url:
        report = await checked(url)
    assert "during garbage-keys: a call took" in of(report, "neighbour").sentence


@requirement("check:ours-holds")
@pytest.mark.parametrize("world", ["counting", "slow", "arrays", "unseeded", "short"])
async def test_our_own_server_holds(world: str) -> None:
    with own_server(world, "8") as url:
        report = await checked(url, timeout_s=180.0)
    assert broke(report) == [], report.as_json()
    assert report.ok and report.max_sessions == 8 and report.wires == ["json", "native"]
    assert not [finding for finding in report.findings if "the check itself failed" in finding.sentence]
    verdicts = {finding.name: finding.verdict for finding in report.findings}
    assert [*verdicts] == ids(chaos=True)
    assert verdicts["cut-native"] == "not judged" or "resumed each time" in of(report, "cut-native").sentence
    unjudged = {name for name, verdict in verdicts.items() if verdict == "not judged"} - {"leaving"}
    assert unjudged == {"unseeded": {"seed", "seeds"}, "short": {"cut-json", "cut-native"}}.get(world, set())
    assert report.latency is not None and report.neighbour is not None
    assert report.latency.median_ms <= report.latency.p95_ms <= report.latency.slowest_ms


@requirement("check:nothing-left")
async def test_without_chaos_nothing_is_left_behind() -> None:
    with own_server("counting", "3") as url:
        report = await checked(url, chaos=False)
        assert broke(report) == [] and report.ok
        assert [finding.name for finding in report.findings] == ids(chaos=False)
        # Every place is there for others at once; on this wire nobody waits for one.
        clients = [AsyncEnv(url, wire="json") for _ in range(3)]
        for client in clients:
            await client.open()
            await client.reset()
        for client in clients:
            await client.close()
