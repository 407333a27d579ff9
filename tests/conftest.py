"""What every test gets: its event loops, no silent skips when everything must run, and no second run of what passed.

`make test` sets nothing; `make test-all` sets OPENENV_TEST_ALL. Where `.ci/run` calls one after the other,
OPENENV_TESTS_PASSED names a file: the first run writes there what passed, and the second leaves that out.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest

# An engine, images and a registry, for the tests of `docker` and `providers`; a browser for those of `browser`.
pytest_plugins = ["support.docker_fixtures", "support.browser_fixtures"]

TEST_ALL = os.environ.get("OPENENV_TEST_ALL") == "1"
PASSED = os.environ.get("OPENENV_TESTS_PASSED", "")

TESTS = Path(__file__).parent
CORE = ("client", "openenv_sync", "protocol", "resume", "runtime", "server", "transport", "wires")
"""Folders whose async tests run on every loop each time; the others do so in `make test-all`."""


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
    """Choose the loops of a test: every loop, or outside of `CORE` the one that is quicker.

    A test whose subject is not the loop chooses one with `@pytest.mark.asyncio(loop_factories=["asyncio-debug"])`.
    """
    factories = loop_factories()
    mark = item.get_closest_marker("asyncio")
    if TEST_ALL or (mark is not None and "loop_factories" in mark.kwargs) or _is_core(item.path):
        return factories
    return dict([list(factories.items())[-1]])


def _is_core(path: Path) -> bool:
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[0] in CORE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the run before has passed."""
    if not (TEST_ALL and PASSED and Path(PASSED).exists()):
        return
    passed = set(Path(PASSED).read_text(encoding="utf-8").splitlines())

    def is_done(item: pytest.Item) -> bool:
        # A test that runs on one loop alone does not bear the loop's name.
        alone = item.nodeid.replace("[uvloop]", "").replace("[uvloop-", "[")
        return item.nodeid in passed or alone in passed

    config.hook.pytest_deselected(items=[item for item in items if is_done(item)])
    items[:] = [item for item in items if not is_done(item)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what passed, once: in the process that the others report to."""
    if PASSED and not TEST_ALL and "PYTEST_XDIST_WORKER" not in os.environ:
        if report.when == "call" and report.passed and "\n" not in report.nodeid:
            with Path(PASSED).open("a", encoding="utf-8") as file:
                file.write(report.nodeid + "\n")


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
