"""The runner makes a finding of whatever a check does: return, raise, or not come to an end."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from openenv_async.conformance.findings import (
    CheckOutcome,
    Finding,
    NotJudged,
    PromiseBroken,
    ServerReport,
    failed,
    warned,
)
from openenv_async.conformance.runner import CheckFunction, CheckInfo, Runner
from openenv_async.errors import CapacityError, EnvError
from openenv_async.transport.link import LinkClosed

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


def returning(outcome: CheckOutcome) -> CheckFunction:
    async def check() -> CheckOutcome:
        return outcome

    return check


def raising(error: BaseException) -> CheckFunction:
    async def check() -> CheckOutcome:
        raise error

    return check


async def endless() -> CheckOutcome:
    await asyncio.Event().wait()
    return CheckOutcome("never")


def new_report() -> ServerReport:
    return ServerReport(target="http://a-server", chaos=False)


@pytest.mark.parametrize(
    ("check", "result", "sentence"),
    [
        (returning(CheckOutcome("as it should be")), "ok", "as it should be"),
        (returning(warned("odd")), "warned", "odd"),
        (returning(failed("wrong")), "failed", "wrong"),
        (raising(PromiseBroken("this", "that")), "failed", "that"),
        (raising(NotJudged("no seed")), "skipped", "no seed"),
        (raising(EnvError("no such thing")), "failed", "no such thing"),
        (raising(LinkClosed("gone")), "failed", "the server did not answer: gone"),
        (raising(TimeoutError()), "failed", "the server did not answer: TimeoutError"),
        (raising(KeyError("a bug")), "skipped", "the check itself failed: KeyError: 'a bug'"),
    ],
)
async def test_each_end_of_a_check_is_a_finding(check: CheckFunction, result: str, sentence: str) -> None:
    told: list[Finding] = []
    report = new_report()
    runner = Runner(report, 60.0, listener=told.append)
    made = await runner.run("a check", check)
    [finding] = report.findings
    assert told == report.findings
    assert (finding.name, finding.result, finding.sentence) == ("a check", result, sentence)
    assert made == (result in ("ok", "warned"))


async def test_what_a_check_expects_and_why_it_matters_are_told_only_of_a_failure() -> None:
    report = new_report()
    runner = Runner(report, 60.0)
    info = CheckInfo(name="a", tries="asks", expected="an answer", why="it costs")
    for outcome in (CheckOutcome("fine"), failed("wrong"), CheckOutcome("odd", "failed", expected="another answer")):
        await runner.run(info, returning(outcome))
    assert [(f.expected, f.why) for f in report.findings] == [
        (None, None),
        ("an answer", "it costs"),
        ("another answer", "it costs"),
    ]
    assert {f.tries for f in report.findings} == {"asks"}


async def test_a_check_without_what_it_needs_is_skipped() -> None:
    report = new_report()
    runner = Runner(report, 60.0)
    await runner.run("first", returning(failed("wrong")))
    assert not await runner.run("second", returning(CheckOutcome("fine")), "first")
    assert report.findings[1].sentence == "it needs first, which did not succeed"
    # Of another level only: the same name there is another check.
    runner.level = "full"
    assert await runner.run("third", returning(CheckOutcome("fine")), "first")


@pytest.mark.parametrize("undecided", ["failed", "skipped"])
async def test_a_full_server_and_the_end_of_the_run_have_the_result_of_the_command(
    undecided: Literal["failed", "skipped"],
) -> None:
    report = new_report()
    runner = Runner(report, 0.05, undecided=undecided)
    await runner.run("full", raising(CapacityError("8 of 8 sessions")))
    await runner.run("endless", endless)
    await runner.run("late", returning(CheckOutcome("fine")))
    assert [finding.result for finding in report.findings] == [undecided, undecided, "skipped"]
    assert "--timeout" in report.findings[2].sentence


async def test_after_the_end_of_the_server_nothing_is_tried() -> None:
    async def is_gone() -> str | None:
        return "connection refused"

    report = new_report()
    runner = Runner(report, 60.0, is_gone=is_gone)
    await runner.run("crash", returning(failed("wrong")))
    await runner.run("next", returning(CheckOutcome("fine")))
    assert report.findings[0].sentence == "wrong; and the server does not answer any longer (connection refused)"
    assert (report.findings[1].result, report.findings[1].sentence) == ("skipped", "the server is gone since crash")
