"""Log lines for the events of each session.

The end of a session in which something was played, its errors, and lost and restored connections are logged at INFO;
waiting, opening and calls at DEBUG.
"""

from __future__ import annotations

import logging
import time

from openenv_async.errors import EnvError
from openenv_async.runtime.calls import Call, CallCancelled, Outcome
from openenv_async.runtime.current_session import about
from openenv_async.runtime.session import Session, SessionObserver

logger = logging.getLogger("openenv_async.sessions")


class SessionLog(SessionObserver):
    """Logs when a session is requested, opened, detached, resumed and ended."""

    def waiting(self, session: Session) -> None:
        logger.debug("session %s was requested", session.id, extra=about(session.id, event="session_waiting"))

    def opened(self, session: Session) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            waited_s = round(max(0.0, time.time() - session.created_at), 3)
            fields = about(session.id, event="session_opened", waited_s=waited_s)
            logger.debug("session %s is open, %g s after it was requested", session.id, waited_s, extra=fields)

    def detached(self, session: Session) -> None:
        fields = about(session.id, event="session_detached", window_s=session.limits.resume_window_s)
        text = "session %s has lost its connection and waits up to %g s for its client"
        logger.info(text, session.id, session.limits.resume_window_s, extra=fields)

    def attached(self, session: Session) -> None:
        fields = about(session.id, event="session_resumed")
        logger.info("session %s was resumed over another connection", session.id, extra=fields)

    def ended(self, session: Session, error: BaseException | None) -> None:
        # DEBUG without any play: a request over HTTP has a session that ends with its answer.
        level = logging.INFO if error is not None or session.episodes or session.steps else logging.DEBUG
        if not logger.isEnabledFor(level):
            return
        reason, code = _reason(error)
        lasted_s = round(max(0.0, time.time() - session.created_at), 3)
        fields = about(
            session.id,
            event="session_ended",
            reason=reason,
            code=code,
            episodes=session.episodes,
            steps=session.steps,
            duration_s=lasted_s,
        )
        text = "session %s has ended after %g s with %d episodes and %d steps: %s"
        logger.log(level, text, session.id, lasted_s, session.episodes, session.steps, reason, extra=fields)


def _reason(error: BaseException | None) -> tuple[str, str]:
    """Return why a session ended, in words and as a code."""
    if error is None:
        return "closed by its client", "CLOSED"
    if isinstance(error, EnvError):
        return error.message, error.code
    return f"a bug in the runtime: {type(error).__name__}", EnvError.code


class CallLog(SessionObserver):
    """Logs every call, at DEBUG. This costs more than a quick step."""

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        if not logger.isEnabledFor(logging.DEBUG):
            return
        if isinstance(outcome, Outcome):
            what = f"returned {len(outcome.data):,} bytes"
        else:
            what = "was cancelled" if isinstance(outcome, CallCancelled) else f"failed: {_reason(outcome)[0]}"
        fields = about(session.id, request_id=rid, event="call", call=call.kind, duration_s=round(latency_s, 6))
        text = "%s() of session %s, request_id %d, %s after %.6f s"
        logger.debug(text, call.kind, session.id, rid, what, latency_s, extra=fields)
