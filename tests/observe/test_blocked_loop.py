"""The log names the call that blocks the event loop: while it blocks, and afterwards."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from typing import Any

import pytest
from requirements import requirement
from support import blocking_envs
from support.blocking_envs import Declared, LateSleepy, Sleepy, Threaded, blocking_app
from support.logs_and_metrics import Lines, field, listening, scrape
from support.servers import BOUND_S, gathered, serving

from openenv_async import AsyncEnv, Limits
from openenv_async.observe.loop_monitor import LoopMonitor

LIMITS = Limits(loop_blocked_s=0.3)
LONG_S = 1.5


def line_of_the_sleep() -> str:
    lines, first = inspect.getsourcelines(blocking_envs.doze)
    return f"{blocking_envs.__file__}:{first + len(lines) - 1} in doze"


def by_authors(lines: Lines) -> list[logging.LogRecord]:
    """Without those of a machine that was too busy to run the loop."""
    return [record for record in lines.find("loop_blocked") if field(record, "blocked_by")]


def over(record: logging.LogRecord) -> bool:
    return "was blocked" in record.getMessage() and bool(field(record, "blocked_by"))


def wake_when_told(lines: Lines) -> None:
    """End the call that blocks the loop as soon as the log has it."""
    lines.until(lambda record: "has been blocked" in record.getMessage() and bool(field(record, "blocked_by")))
    blocking_envs.AWAKE.release()


@requirement("loop:blocked-named")
@pytest.mark.parametrize("cls", [Sleepy, LateSleepy, Declared])
async def test_the_log_names_environment_call_session_and_line_while_it_lasts_and_after(cls: Any) -> None:
    with listening() as lines:
        async with serving(blocking_app(cls, limits=LIMITS)) as served:
            async with AsyncEnv[Any, Any, Any](served.url) as env:
                await env.reset()
                lines.records.clear()
                waking = threading.Thread(target=wake_when_told, args=(lines,))
                waking.start()
                await env.step({"seconds": BOUND_S})
                session_id = env.session_id
                last = await asyncio.to_thread(lines.until, over)
                waking.join()
            found = await scrape(served.url)
    first = by_authors(lines)[0]
    assert "has been blocked" in first.getMessage() and "so far" in first.getMessage()
    # It was written while the call was at work, as it was this line that ended it.
    assert LIMITS.loop_blocked_s is not None
    assert LIMITS.loop_blocked_s <= field(first, "duration_s") < field(last, "duration_s") < BOUND_S
    for record in (first, last):
        assert record.levelno == logging.WARNING
        assert field(record, "environment") == cls.__name__
        assert field(record, "blocked_by") == ("Plain.step" if cls is Declared else f"{cls.__name__}.step")
        assert field(record, "where") == line_of_the_sleep()
        assert field(record, "session_id") == session_id
        text = record.getMessage()
        assert f"step() in session {session_id}, request 2 ({line_of_the_sleep()})" in text
        assert text.startswith(f"environment {cls.__name__}: the event loop ")
        assert "execution='thread'" in text
    assert field(first, "request_id") == 2
    assert found.value("openenv_event_loop_blocked_total") >= 1
    assert found.value("openenv_event_loop_lag_seconds_sum") > LIMITS.loop_blocked_s / 2


async def test_a_blocked_thread_does_not_block_the_loop() -> None:
    with listening() as lines:
        async with serving(blocking_app(Threaded, limits=Limits(loop_blocked_s=0.5))) as served:
            async with AsyncEnv[Any, Any, Any](served.url) as env:
                await env.reset()
                await env.step({"seconds": LONG_S})
    assert by_authors(lines) == []


async def test_the_one_of_many_sessions_is_named() -> None:
    with listening() as lines:
        async with serving(blocking_app(Sleepy, limits=LIMITS)) as served:
            envs = [AsyncEnv[Any, Any, Any](served.url) for _ in range(8)]
            await gathered([env.open() for env in envs])
            await gathered([env.reset() for env in envs])
            lines.records.clear()
            await gathered([env.step({"seconds": LONG_S if at == 5 else 0.0}) for at, env in enumerate(envs)])
            guilty = envs[5].session_id
            await asyncio.to_thread(lines.until, over)
            await gathered([env.close() for env in envs])
    assert {field(record, "session_id") for record in by_authors(lines)} == {guilty}


async def test_a_loop_that_only_waits_is_not_blocked() -> None:
    with listening() as lines:
        monitor = LoopMonitor("quiet", 0.05)
        monitor.start()
        monitor.start()
        before = sum(monitor.lags.counts)
        while sum(monitor.lags.counts) < before + 5:  # noqa: ASYNC110  - the beats are what is waited for
            await asyncio.sleep(0.05)
        monitor.stop()
        monitor.stop()
    assert by_authors(lines) == []


async def test_without_a_limit_a_blocked_loop_is_not_logged() -> None:
    with listening() as lines:
        async with serving(blocking_app(Sleepy, limits=Limits(loop_blocked_s=None))) as served:
            async with AsyncEnv[Any, Any, Any](served.url) as env:
                await env.reset(seconds=0.3)
    assert lines.find("loop_blocked") == []
