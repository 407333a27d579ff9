"""What every test gets: two event loops, and no silent skips when everything must run."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Generator, Mapping

import pytest

# An engine, images and a registry, for the tests of `docker` and `providers`; a browser for those of `browser`.
pytest_plugins = ["support.docker_fixtures", "support.browser_fixtures"]

TEST_ALL = os.environ.get("OPENENV_TEST_ALL") == "1"


class DebugLoop(asyncio.SelectorEventLoop):
    """asyncio's loop in debug mode: it reports calls from a wrong thread and tasks never awaited."""

    def set_debug(self, enabled: bool) -> None:
        # asyncio.Runner sets the flag after the factory returned; pytest-asyncio hands it False.
        super().set_debug(True)
        # How long a callback takes says how busy the machine is; tests that read the log are not about that.
        self.slow_callback_duration = math.inf


def loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio-debug": DebugLoop}
    try:
        import uvloop
    except ImportError:
        if TEST_ALL:
            raise
    else:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


# Loop factories, not an event loop policy: policies are deprecated since Python 3.14.
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each async test on every loop. One that must not be repeated chooses with
    `@pytest.mark.asyncio(loop_factories=["asyncio-debug"])`.
    """
    return loop_factories()


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure is reported as a skip too, but it did run.
    if TEST_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"OPENENV_TEST_ALL=1 and yet skipped: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    # Reports travel between processes as UTF-8, and some tests print text that is none.
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
