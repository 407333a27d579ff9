"""Threads that are given up: Python cannot stop one, so a call that passes its deadline in one is left behind.

Counts them and says so; both executors that use threads report here, and calls that could be cancelled.
"""

from __future__ import annotations

import logging

from openenv_async.errors import StepTimeout
from openenv_async.runtime.atwork import about
from openenv_async.runtime.calls import Call

logger = logging.getLogger("openenv_async")


class Abandoned:
    """The threads given up in this process."""

    total = 0
    """So far; one whose call returned in the end is still counted."""

    @classmethod
    def report(cls, call: Call, session_id: str) -> StepTimeout:
        """Count and log one; gives the error for the caller."""
        cls.total += 1
        logger.warning(
            "%s() of session %s passed its deadline of %g s; its thread is abandoned (%d so far)",
            call.kind,
            session_id,
            call.timeout_s,
            cls.total,
            extra=about(session_id, event="deadline", call=call.kind, timeout_s=call.timeout_s),
        )
        return StepTimeout(
            f"{call.kind}() did not finish within {call.timeout_s:g} s; it runs in a thread, which cannot be stopped, "
            "so the session is broken: call reset() for a fresh environment",
            timeout_s=call.timeout_s,
            session_usable=False,
        )


def report_cancelled(call: Call, timeout_s: float, session_id: str) -> StepTimeout:
    """Log a coroutine that was cancelled at its deadline; gives the error for the caller."""
    logger.warning(
        "%s() of session %s passed its deadline of %g s and was cancelled",
        call.kind,
        session_id,
        timeout_s,
        extra=about(session_id, event="deadline", call=call.kind, timeout_s=timeout_s),
    )
    return StepTimeout(
        f"{call.kind}() did not finish within {timeout_s:g} s and was cancelled; the session can go on",
        timeout_s=timeout_s,
        session_usable=True,
    )
