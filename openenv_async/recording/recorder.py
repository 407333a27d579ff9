"""Session observer that queues every call for the writer of recordings.

It runs on the event loop: it copies and queues bytes, and decodes nothing. Calls that do not fit in the queue are
counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from openenv_async.errors import EnvError
from openenv_async.protocol.error_mapping import describe
from openenv_async.recording.lines import Begun, Ended, Moved, Played
from openenv_async.recording.options import RecordOptions
from openenv_async.recording.writer import FLUSH_S, Writer
from openenv_async.runtime.calls import Call, CallCancelled, Outcome
from openenv_async.runtime.session import Session, SessionObserver

logger = logging.getLogger("openenv_async")

TELL_S = 60.0
"""Seconds between two log lines about calls that are left out."""


class _Notes:
    """State of the recording of one session."""

    __slots__ = ("began", "gap", "started_at")

    def __init__(self) -> None:
        self.started_at = time.time()
        self.began = False
        """Its `Begun` is queued."""
        self.gap = 0
        """Calls that did not fit in the queue since the last one that did."""


class Recorder(SessionObserver):
    """Records the sessions of one server.

    Args:
        options: folder, redacted fields and limits.
        environment: name of the environment.
        clean: removes secrets from a text.

    Raises:
        ValueError: the folder cannot be written to; the text says why.
    """

    def __init__(self, options: RecordOptions, environment: str, clean: Callable[[str], str]) -> None:
        self._options = options
        try:
            self._writer = Writer(options, environment, clean)
        except OSError as error:
            text = f"nothing can be recorded in {options.folder}: {error.strerror or error}"
            raise ValueError(text) from error
        self._notes: dict[Session, _Notes] = {}
        self._told_at = -TELL_S
        self.left_out = 0
        """Calls that did not fit in the queue, in all."""

    async def aclose(self) -> None:
        """Wait until everything is written, `FLUSH_S` at most."""
        if not await asyncio.to_thread(self._writer.flush, FLUSH_S):
            logger.warning("recordings were still to be written after %g s", FLUSH_S)
        if self.left_out:
            logger.warning("%d calls in all are missing in the recordings: they came too fast", self.left_out)

    def opened(self, session: Session) -> None:
        self._notes[session] = _Notes()

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        notes = self._notes.get(session)
        if notes is None or call.kind in ("metadata", "web"):
            return
        if not notes.began:
            notes.began = self._writer.put(Begun(session.id, notes.started_at, call.wire))
        if notes.began and self._writer.put(self._played(session, rid, call, outcome, latency_s, notes.gap)):
            notes.gap = 0
        else:
            notes.gap += 1
            self._tell_left_out()

    def _played(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float, gap: int
    ) -> Played:
        most = self._options.max_value_bytes
        payload: bytes | None = None
        large: tuple[tuple[str, int], ...] = ()
        size = memoryview(call.payload).nbytes
        if size > most:
            large = (("request", size),)
        else:
            # A copy, because it may be a view of the message.
            payload = bytes(call.payload)
        data: bytes | None = None
        warnings: tuple[str, ...] = ()
        error: tuple[str, str] | None = None
        if isinstance(outcome, Outcome):
            warnings = outcome.warnings
            if len(outcome.data) > most:
                large = (*large, ("state" if call.kind == "state" else "observation", len(outcome.data)))
            else:
                data = outcome.data
        else:
            error = _code_and_message(outcome)
        return Played(
            session.id,
            time.time(),
            latency_s,
            rid,
            call.kind,
            call.wire,
            payload,
            data,
            warnings,
            error,
            large,
            gap,
        )

    def _tell_left_out(self) -> None:
        self.left_out += 1
        if time.monotonic() - self._told_at > TELL_S:
            self._told_at = time.monotonic()
            logger.warning(
                "sessions are played faster than they can be recorded in %s: %d calls are left out so far",
                self._options.folder,
                self.left_out,
            )

    def detached(self, session: Session) -> None:
        self._moved(session, "detached")

    def attached(self, session: Session) -> None:
        self._moved(session, "attached")

    def _moved(self, session: Session, what: str) -> None:
        notes = self._notes.get(session)
        if notes is not None and notes.began:
            self._writer.put(Moved(session.id, time.time(), what))

    def ended(self, session: Session, error: BaseException | None) -> None:
        notes = self._notes.pop(session, None)
        if notes is None or not notes.began:
            return
        reason, message = ("closed", "") if error is None else _code_and_message(error)
        self._writer.put(Ended(session.id, time.time(), reason, message, notes.gap))


def _code_and_message(error: BaseException) -> tuple[str, str]:
    if isinstance(error, EnvError):
        what = describe(error)
        return what.code, what.message
    if isinstance(error, CallCancelled):
        return "CANCELLED", "cancelled by the caller"
    # The code that answers the client logs it with an id.
    return EnvError.code, "internal error of the server"
