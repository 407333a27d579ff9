"""Runs one check after the other and makes findings of what they do: return, raise, or not come to an end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import httpx

from openenv_async.checking.catalogue import BY_ID
from openenv_async.checking.verdicts import Broke, Finding, NotJudged, Report, Verdict
from openenv_async.errors import CapacityError, EnvError
from openenv_async.transport.link import LinkClosed, LinkRefused

logger = logging.getLogger("openenv_async.checking")

Check = Callable[[], Awaitable[str]]
Listener = Callable[[Finding], None]
IsGone = Callable[[], Awaitable[str | None]]

_ANSWER = "an answer"


class Runner:
    """The findings of one run, in their order.

    Args:
        report: takes the findings.
        listener: told each of them as it is made.
        is_gone: says why the server does not answer any longer; asked after each check that broke.
        limit_s: of the run, in seconds; what has not begun by then is not judged.
        begins: told the id of each check as it begins.
    """

    def __init__(
        self,
        report: Report,
        listener: Listener,
        is_gone: IsGone,
        limit_s: float,
        begins: Callable[[str], object] = lambda name: None,
    ) -> None:
        self.report = report
        self.doing = "the beginning"
        """The check in progress."""

        self.slowness_s = 0.0
        """Added to the time of each check: what the environment's own steps take."""

        self._listener, self._is_gone, self._begins = listener, is_gone, begins
        self._until = time.monotonic() + limit_s
        self._gone: str | None = None

    async def run(self, name: str, check: Check, *needs: str) -> bool:
        """Make one check.

        Args:
            name: its id.
            check: returns what it saw, or raises.
            needs: ids of checks without which this one makes no sense.

        Returns:
            Whether the promise held.
        """
        self.doing = name
        reason = self._why_not(needs)
        if reason is not None:
            return self._find(name, "not judged", reason)
        began = time.monotonic()
        self._begins(name)
        try:
            sentence = await self._bounded(name, check)
        except NotJudged as error:
            return self._find(name, "not judged", str(error), began)
        except CapacityError as error:
            return self._find(name, "not judged", f"there is no place for it: {error}", began)
        except Broke as error:
            return await self._broke(name, error, began)
        except (EnvError, LinkClosed, LinkRefused, httpx.HTTPError, OSError) as error:
            text = f"{type(error).__name__}: {str(error) or 'no text'}"
            return await self._broke(name, Broke(_ANSWER, text), began)
        except Exception as error:  # a bug of this tool must not cost what was found, and is not the server's
            logger.exception("the check %s failed", name)
            return self._find(name, "not judged", f"the check itself failed: {type(error).__name__}: {error}", began)
        return self._find(name, "held", sentence, began)

    def _why_not(self, needs: tuple[str, ...]) -> str | None:
        if self._gone is not None:
            return self._gone
        if time.monotonic() >= self._until:
            return "no time was left for it: give more with --timeout"
        held = {finding.id for finding in self.report.findings if finding.verdict == "held"}
        missing = next((need for need in needs if need not in held), None)
        return None if missing is None else f"it needs {missing}, which did not hold"

    async def _bounded(self, name: str, check: Check) -> str:
        left_s = self._until - time.monotonic()
        own_s = BY_ID[name].limit_s + self.slowness_s
        try:
            async with asyncio.timeout(min(own_s, left_s)):
                return await check()
        except TimeoutError:
            if own_s > left_s:
                raise NotJudged("the time of the run was over before it ended: give more with --timeout") from None
            raise Broke(_ANSWER, f"it did not come to an end within {own_s:g} s") from None

    async def _broke(self, name: str, error: Broke, began: float) -> bool:
        gone = await self._is_gone()
        happened = error.happened
        if gone is not None:
            self._gone = f"the server is gone since {name}"
            happened = f"{happened}; and the server does not answer any longer ({gone})"
        return self._find(name, "broke", happened, began, error.expected)

    def _find(
        self, name: str, verdict: Verdict, sentence: str, began: float | None = None, expected: str | None = None
    ) -> bool:
        entry = BY_ID[name]
        finding = Finding(
            id=name,
            tries=entry.tries,
            verdict=verdict,
            sentence=sentence,
            expected=expected,
            why=entry.why if verdict == "broke" else None,
            duration_s=0.0 if began is None else time.monotonic() - began,
        )
        self.report.findings.append(finding)
        self._listener(finding)
        return verdict == "held"
