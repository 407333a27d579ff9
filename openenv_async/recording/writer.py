"""Thread that writes recordings, and its bounded queue.

Events that do not fit in the queue, or that the disk does not take, are counted, and a `gap` line takes their place.
The thread yields the interpreter often, so that the event loop does not wait for it. It ends after `IDLE_S` without
an event; the next event starts another thread.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from weakref import WeakSet

from openenv_async.recording.files import Files, SessionFile
from openenv_async.recording.lines import (
    Begun,
    Event,
    Moved,
    Played,
    Redactor,
    call_line,
    encoded,
    first_line,
    gap_line,
    last_line,
)
from openenv_async.recording.options import RecordOptions

logger = logging.getLogger("openenv_async")

IDLE_S = 2.0
"""Seconds without an event after which the thread ends."""

RETRY_S = 5.0
"""Seconds between two attempts to write to a disk that failed."""

SLICE_S = 0.001
"""Seconds of work after which the thread yields the interpreter; by itself Python switches only after 5 ms."""

MOST_AT_ONCE = 2048
"""Events that are written together, with one write for each file: every write releases the interpreter, and a busy
event loop returns it late."""

FLUSH_S = 5.0
"""Seconds that a server or its process, at its end, waits for queued events to be written."""

NO_ROOM, NO_DISK = "it could not be written as fast as it was played", "the disk could not be written to"


_WRITERS: WeakSet[Writer] = WeakSet()


@atexit.register
def _finish() -> None:
    """Flush at the end of the process, for apps without a lifespan."""
    for writer in list(_WRITERS):
        writer.flush(FLUSH_S)


class Writer:
    """Writes events in the order in which they are queued.

    Args:
        options: folder, redacted fields and limits.
        environment: name of the environment.
        clean: removes secrets from a text.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, options: RecordOptions, environment: str, clean: Callable[[str], str]) -> None:
        self._options, self._environment = options, environment
        self._redactor = Redactor(options.redact, clean)
        self._files = Files(options.folder, options.max_file_bytes, options.max_total_bytes)
        self._sessions: dict[str, SessionFile] = {}
        self._missing: dict[str, int] = {}
        """By session, the calls that could not be written since its last line."""
        self._queue: SimpleQueue[Event | threading.Event] = SimpleQueue()
        self._lock = threading.Lock()
        self._held = 0
        self._thread: threading.Thread | None = None
        self._failed_at: float | None = None
        self._pid = os.getpid()
        _WRITERS.add(self)
        self.lost = 0
        """Calls that could not be written, in all."""

    def put(self, event: Event) -> bool:
        """Queue an event; return False if it does not fit. Thread-safe; does not wait."""
        with self._lock:
            if event.size and self._held + event.size > self._options.max_queued_bytes:
                return False
            self._held += event.size
            self._hand_over(event)
        return True

    def _hand_over(self, item: Event | threading.Event) -> None:
        self._queue.put(item)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="openenv recording", daemon=True)
            self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all queued events are written; return False after `timeout_s`. It blocks, so not on a loop."""
        if os.getpid() != self._pid:
            return True  # a forked child: its parent writes what is queued
        done = threading.Event()
        with self._lock:
            if self._queue.empty() and not self._held and self._thread is None:
                return True
            self._hand_over(done)
        return done.wait(timeout_s)

    def _work(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if not self._queue.empty():
                        continue
                    self._files.close_all()
                    self._thread = None
                    return
            flushed = [item] if isinstance(item, threading.Event) else self._batch(item)
            for event in flushed:
                event.set()

    def _batch(self, event: Event) -> list[threading.Event]:
        """Write an event and those queued behind it, each file once; return the flushes that wait for them."""
        waiting: list[threading.Event] = []
        pending: dict[str, list[tuple[bytes, int]]] = {}
        over: list[str] = []
        held, until = 0, time.monotonic() + SLICE_S
        for number in range(MOST_AT_ONCE):
            held += event.size
            with self._bugs_logged(event.session_id):
                self._prepare(event, pending, over)
            if time.monotonic() > until:
                # The event loop waits while this thread has the interpreter.
                time.sleep(0)
                until = time.monotonic() + SLICE_S
            item = self._next() if number + 1 < MOST_AT_ONCE else None
            if isinstance(item, threading.Event):
                waiting.append(item)
            if item is None or isinstance(item, threading.Event):
                break
            event = item
        for name, lines in pending.items():
            with self._bugs_logged(name):
                self._write(name, lines, final=name in over)
        for name in over:
            self._files.close(self._sessions.pop(name))
            self._missing.pop(name, None)
        with self._lock:
            self._held -= held
        return waiting

    def _next(self) -> Event | threading.Event | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return None

    @contextlib.contextmanager
    def _bugs_logged(self, name: str) -> Iterator[None]:
        """Log an exception, so that a bug in one line does not end all recording."""
        try:
            yield
        except Exception:
            logger.exception("lines of the recording of session %s could not be made", name)

    def _prepare(self, event: Event, pending: dict[str, list[tuple[bytes, int]]], over: list[str]) -> None:
        """Add the lines of an event to `pending`, each with the number of calls that are lost if it is not written."""
        if isinstance(event, Begun):
            self._begin(event)
            return
        lines = pending.setdefault(event.session_id, [])
        if isinstance(event, Moved):
            lines.append((encoded({"type": event.what, "at": event.at}), 0))
            return
        if event.gap:
            lines.append((encoded(gap_line(event.at, event.gap, NO_ROOM)), event.gap))
        if isinstance(event, Played):
            lines.append((encoded(call_line(event, self._redactor)), 1))
        else:
            lines.append((encoded(last_line(event, self._redactor)), 0))
            over.append(event.session_id)

    def _begin(self, begun: Begun) -> None:
        def first(part: int) -> bytes:
            return encoded(first_line(begun, self._environment, self._options.redact, part))

        file = self._files.begin(begun.session_id, self._environment, begun.started_at, first)
        self._sessions[begun.session_id] = file

    def _write(self, name: str, lines: list[tuple[bytes, int]], *, final: bool) -> None:
        if self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_S and not final:
            # The last lines are tried in any case, as there is no later attempt.
            self._not_taken(name, sum(calls for _, calls in lines))
            return
        missing = self._missing.pop(name, 0)
        if missing:
            lines = [(encoded(gap_line(time.time(), missing, NO_DISK)), missing), *lines]
            self.lost -= missing
        left = [line for line, _ in lines]
        try:
            self._files.write(self._sessions[name], left)
        except OSError as error:
            self._not_taken(name, sum(calls for _, calls in lines[len(lines) - len(left) :]))
            if self._failed_at is None:
                logger.warning(
                    "recording in %s fails: %s; calls are left out, and writing is tried again every %g s",
                    self._options.folder,
                    error.strerror or error,
                    RETRY_S,
                )
            self._failed_at = time.monotonic()
            return
        self.lost += missing
        if self._failed_at is not None:
            self._failed_at = None
            logger.warning("recording in %s continues; %d calls were left out", self._options.folder, self.lost)

    def _not_taken(self, name: str, calls: int) -> None:
        if calls:
            self.lost += calls
            self._missing[name] = self._missing.get(name, 0) + calls
