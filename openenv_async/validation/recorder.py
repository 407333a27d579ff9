"""Runs one check after the other and keeps what they say, whatever happens to them.

Owns what an exception in a check means, the time each took, and which checks are
passed over because one before them failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

import httpx

from openenv_async.errors import EnvError, FactoryError
from openenv_async.transport.link import LinkClosed
from openenv_async.validation.checks import Check, Level, Result

_LOG_WAIT_S = 1.0
"""Seconds that the server's log may come after the answer that names it."""

_LOG_LINES = 12

Listener = Callable[[Check], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one check found."""

    sentence: str
    result: Result = "ok"
    hint: str | None = None
    details: tuple[str, ...] = ()


def failed(sentence: str, hint: str | None = None, *details: str) -> Said:
    """Say that something is wrong."""
    return Said(sentence=sentence, result="failed", hint=hint, details=details)


def warned(sentence: str, hint: str | None = None, *details: str) -> Said:
    """Say that something should be looked at."""
    return Said(sentence=sentence, result="warned", hint=hint, details=details)


def skipped(sentence: str, hint: str | None = None) -> Said:
    """Say why something was not looked at."""
    return Said(sentence=sentence, result="skipped", hint=hint)


@dataclass
class Recorder:
    """The checks of one run, in their order."""

    listener: Listener = lambda check: None
    begins: Callable[[str], object] = lambda name: None
    """Told the name of each check as it begins."""
    checks: list[Check] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    """Names still to come, for what is said of them when the time is over."""

    level: Level = "static"

    log: Callable[[], Sequence[str]] = tuple
    """The server's last lines, where this process has started it."""

    def note(self, check: Check) -> None:
        """Keep a check that was made elsewhere."""
        self.checks.append(check)
        self.listener(check)

    def say(self, name: str, said: Said, duration_s: float | None = None) -> None:
        """Keep what was found under a name."""
        self.note(
            Check(
                name=name,
                level=self.level,
                result=said.result,
                sentence=said.sentence,
                hint=said.hint,
                details=said.details,
                duration_s=duration_s,
            )
        )

    def plan(self, level: Level, names: Collection[str]) -> None:
        """Say which checks are to come."""
        self.level, self.pending = level, list(names)

    def failed(self, *names: str) -> str | None:
        """Give the first of these checks of the present level that did not succeed."""
        bad = [c.name for c in self.checks if c.level == self.level and c.result in ("failed", "skipped")]
        return next((name for name in names if name in bad), None)

    async def run(self, name: str, check: Callable[[], Awaitable[Said]], needs: Collection[str] = ()) -> bool:
        """Run one check.

        Args:
            name: of the check.
            check: finds something, or raises `EnvError`, which is a failure.
            needs: checks without which this one makes no sense.

        Returns:
            Whether it did not fail.
        """
        missing = self.failed(*needs)
        if missing is not None:
            self._over(name)
            self.say(name, skipped(f"it needs {missing}, which did not succeed"))
            return False
        began = time.monotonic()
        self.begins(name)
        try:
            said = await check()
        except EnvError as error:
            said = _of_error(error, await self._log_with(error))
        except (httpx.HTTPError, LinkClosed, OSError) as error:
            said = failed(f"the server did not answer: {str(error) or type(error).__name__}")
        self._over(name)
        self.say(name, said, time.monotonic() - began)
        return said.result != "failed"

    async def _log_with(self, error: EnvError) -> Sequence[str]:
        """Give the log, with the error's own lines in it if they come: the answer may be quicker than they are."""
        error_id = error.details.get("error_id")
        until = time.monotonic() + (_LOG_WAIT_S if error_id and self.log() else 0.0)
        while not _is_whole(_logged(str(error_id), self.log())) and time.monotonic() < until:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
        return self.log()

    def out_of_time(self, timeout_s: float) -> None:
        """The run's time is over: the check in progress failed, those after it were not begun."""
        if not self.pending:
            return
        first, *others = self.pending
        self.pending = []
        self.say(
            first, failed(f"it did not end before the run's {timeout_s:g} s were over", "give more with --timeout")
        )
        for name in others:
            self.say(name, skipped("no time was left for it"))

    def _over(self, name: str) -> None:
        if name in self.pending:
            self.pending.remove(name)


def _of_error(error: EnvError, log: Sequence[str]) -> Said:
    sentence, *more = str(error).splitlines() or [type(error).__name__]
    more += error.details.get("output") or ()
    traceback = _logged(str(error.details.get("error_id")), log)
    if traceback and isinstance(error, FactoryError):
        sentence = f"{sentence} {traceback[-1]}"  # what it raised is in the server's log alone
    return Said(
        sentence=sentence, result="failed", hint=error.details.get("hint"), details=(*more, *traceback[-_LOG_LINES:])
    )


def _is_whole(traceback: Sequence[str]) -> bool:
    return len(traceback) > 1 and not traceback[-1].startswith(" ")


def _logged(error_id: str, log: Sequence[str]) -> list[str]:
    """Give the traceback that follows an error's id in a log."""
    first = next((at for at, line in enumerate(log) if f"[error {error_id}]" in line), None)
    if first is None:
        return []
    traceback = [log[first + 1]] if first + 1 < len(log) else []
    for line in log[first + 2 :]:
        traceback.append(line)
        if not line.startswith(" "):
            break
    return traceback
