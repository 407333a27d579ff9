"""Runs one check after the other and makes findings of what they return, raise, or never return.

Owns what an exception in a check means, the time each may take, and which checks are
skipped because one before them failed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import httpx

from openenv_async.conformance.findings import (
    CheckOutcome,
    Finding,
    Level,
    NotJudged,
    PromiseBroken,
    Report,
    failed,
    skipped,
)
from openenv_async.errors import CapacityError, EnvError, FactoryError
from openenv_async.transport.link import LinkClosed, LinkRefused

logger = logging.getLogger("openenv_async.conformance")

LOG_WAIT_S = 1.0
"""Seconds by which the server's log may come after the answer that names it."""

_LOG_LINES = 12
_MORE_TIME = "give more with --timeout"
_NO_TIME = f"no time was left for it: {_MORE_TIME}"

CheckFunction = Callable[[], Awaitable[CheckOutcome]]
Listener = Callable[[Finding], None]
OnBegin = Callable[[str, str | None], object]
"""Called with the name of a check that begins, and with what it tries where that is described."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckInfo:
    """What is known of a check beforehand."""

    name: str
    needs: tuple[str, ...] = ()
    """Names of checks without which this one makes no sense."""

    tries: str | None = None
    expected: str = "an answer"
    """What a server does that passes, for failures that do not say so themselves."""

    why: str | None = None
    """What a failure costs those who train on the server."""

    limit_s: float | None = None
    """Seconds it may take on a server whose steps take none; None: what is left of the run."""


class Runner:
    """Adds the findings of one run to its report, in their order.

    Args:
        report: takes the findings.
        limit_s: seconds for the run; checks that have not begun by then are skipped.
        undecided: the result of a check that could not come to an end: no time was left, or the server was full.
        listener: called with each finding.
        on_begin: called as each check begins.
        is_gone: returns why the server does not answer any longer, if so; asked after each failure.
    """

    def __init__(
        self,
        report: Report,
        limit_s: float,
        *,
        undecided: Literal["failed", "skipped"] = "failed",
        listener: Listener | None = None,
        on_begin: OnBegin | None = None,
        is_gone: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        self.report = report
        self.level: Level | None = None
        """Of the findings that follow."""

        self.log: Callable[[], Sequence[str]] = tuple
        """Returns the last lines of the server's log, where this process has started it."""

        self.current = "the beginning"
        """The name of the check in progress."""

        self.slowness_s = 0.0
        """Added to the time of each check: what the environment's own steps take."""

        self._limit_s, self._undecided = limit_s, undecided
        self._listener, self._on_begin, self._is_gone = listener, on_begin, is_gone
        self._deadline = time.monotonic() + limit_s
        self._gone: str | None = None

    @property
    def left_s(self) -> float:
        """Seconds that are left of the run."""
        return max(0.0, self._deadline - time.monotonic())

    async def run(self, check: CheckInfo | str, function: CheckFunction, *needs: str) -> bool:
        """Run one check.

        Args:
            check: what is known of it, or only its name.
            function: makes the check; it may raise `PromiseBroken`, `NotJudged` and what a bad server causes.
            needs: further checks that it needs.

        Returns:
            Whether it was made and did not fail.
        """
        info = CheckInfo(name=check) if isinstance(check, str) else check
        self.current = info.name
        reason = self._why_not((*info.needs, *needs))
        if reason is not None:
            self._add(info, skipped(reason))
            return False
        began = time.monotonic()
        if self._on_begin is not None:
            self._on_begin(info.name, info.tries)
        outcome = await self._outcome(info, function)
        if outcome.result == "failed" and self._is_gone is not None and (gone := await self._is_gone()) is not None:
            self._gone = f"the server is gone since {info.name}"
            text = f"{outcome.sentence}; and the server does not answer any longer ({gone})"
            outcome = CheckOutcome(text, "failed", expected=outcome.expected)
        self._add(info, outcome, time.monotonic() - began)
        return outcome.result in ("ok", "warned")

    def add(self, findings: Collection[Finding]) -> None:
        """Add findings that were made elsewhere."""
        for finding in findings:
            self.report.findings.append(finding)
            if self._listener is not None:
                self._listener(finding)

    def skip(self, names: Collection[str], reason: str, hint: str | None = None) -> None:
        """Add findings that these checks were not made."""
        for name in names:
            self._add(CheckInfo(name=name), skipped(reason, hint))

    def out_of_time(self, names: Sequence[str]) -> None:
        """Add findings that the run's time was over during the first of these checks, and before the others."""
        self._add(CheckInfo(name=names[0]), self._late())
        self.skip(names[1:], _NO_TIME)

    def _late(self) -> CheckOutcome:
        if self._undecided == "failed":
            return failed(f"it did not end before the run's {self._limit_s:g} s were over", _MORE_TIME)
        return skipped(f"the time of the run was over before it ended: {_MORE_TIME}")

    def _why_not(self, needs: tuple[str, ...]) -> str | None:
        if self._gone is not None:
            return self._gone
        if not self.left_s:
            return _NO_TIME
        bad = {f.name for f in self.report.findings if f.level == self.level and f.result in ("failed", "skipped")}
        missing = next((need for need in needs if need in bad), None)
        return None if missing is None else f"it needs {missing}, which did not succeed"

    async def _outcome(self, info: CheckInfo, function: CheckFunction) -> CheckOutcome:
        try:
            return await self._bounded(info, function)
        except NotJudged as error:
            return skipped(str(error))
        except PromiseBroken as error:
            return error.outcome
        except EnvError as error:
            if isinstance(error, CapacityError) and self._undecided == "skipped":
                return skipped(f"the server is full: {error}")
            return _of_error(error, await self._log_with(error))
        except (httpx.HTTPError, LinkClosed, LinkRefused, OSError) as error:
            return failed(f"the server did not answer: {str(error) or type(error).__name__}")
        except Exception as error:  # a bug in a check must not cost what was found, and is not the server's
            logger.exception("the check %s failed", info.name)
            return skipped(f"the check itself failed: {type(error).__name__}: {error}")

    async def _bounded(self, info: CheckInfo, function: CheckFunction) -> CheckOutcome:
        left_s = self.left_s
        own_s = left_s + 1 if info.limit_s is None else info.limit_s + self.slowness_s
        try:
            async with asyncio.timeout(min(own_s, left_s)) as limit:
                return await function()
        except TimeoutError:
            if not limit.expired():
                raise
            if own_s <= left_s:
                return failed(f"it did not end within {own_s:g} s")
            return self._late()

    async def _log_with(self, error: EnvError) -> Sequence[str]:
        """Return the log once the error's own lines are in it, if they come: the answer may be quicker."""
        error_id = error.details.get("error_id")
        until = time.monotonic() + (LOG_WAIT_S if error_id and self.log() else 0.0)
        while not _is_whole(_logged(str(error_id), self.log())) and time.monotonic() < until:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
        return self.log()

    def _add(self, info: CheckInfo, outcome: CheckOutcome, duration_s: float | None = None) -> None:
        broke = outcome.result == "failed"
        finding = Finding(
            name=info.name,
            level=self.level,
            result=outcome.result,
            sentence=outcome.sentence,
            hint=outcome.hint,
            details=outcome.details,
            tries=info.tries,
            expected=(outcome.expected or info.expected) if broke else None,
            why=info.why if broke else None,
            duration_s=duration_s,
        )
        self.add([finding])


def _of_error(error: EnvError, log: Sequence[str]) -> CheckOutcome:
    sentence, *more = str(error).splitlines() or [type(error).__name__]
    more += error.details.get("output") or ()
    traceback = _logged(str(error.details.get("error_id")), log)
    if traceback and isinstance(error, FactoryError):
        sentence = f"{sentence} {traceback[-1]}"  # what it raised is in the server's log alone
    return failed(sentence, error.details.get("hint"), *more, *traceback[-_LOG_LINES:])


def _is_whole(traceback: Sequence[str]) -> bool:
    return len(traceback) > 1 and not traceback[-1].startswith(" ")


def _logged(error_id: str, log: Sequence[str]) -> list[str]:
    """Return the traceback that follows an error's id in a log."""
    first = next((at for at, line in enumerate(log) if f"[error {error_id}]" in line), None)
    if first is None:
        return []
    traceback = [log[first + 1]] if first + 1 < len(log) else []
    for line in log[first + 2 :]:
        traceback.append(line)
        if not line.startswith(" "):
            break
    return traceback
