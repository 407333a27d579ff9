"""The thread that writes recordings, and the queue in front of it, which has a bound.

Owns what becomes of events that find no room, or no disk: they are counted, and a `gap` line stands where they
would have stood. The thread gives way after every line, so that the event loop does not wait for it, and ends
when it has had nothing to do for a while; the next event begins another.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakSet

from openenv_async.recording.files import Files, SessionFile
from openenv_async.recording.lines import (
    Begun,
    Ended,
    Event,
    Moved,
    Played,
    call_line,
    encoded,
    first_line,
    gap_line,
    last_line,
)
from openenv_async.recording.options import RecordOptions
from openenv_async.recording.redacting import Redactor

logger = logging.getLogger("openenv_async")

IDLE_S = 2.0
"""Seconds without an event after which the thread ends."""

RETRY_S = 5.0
"""Seconds after which a disk that failed is tried again."""

FLUSH_S = 5.0
"""Seconds that the end of a server, or of its process, waits for what is still to be written."""

NO_ROOM, NO_DISK = "it could not be written as fast as it was played", "the disk could not be written to"


_WRITERS: WeakSet[Writer] = WeakSet()


@atexit.register
def _finish() -> None:
    """Where no lifespan ends the recording, the end of the process does."""
    for writer in list(_WRITERS):
        writer.flush(FLUSH_S)


class Writer:
    """Writes events in the order in which they are put.

    Args:
        options: see `RecordOptions`.
        environment: its name.
        clean: takes secrets out of a text.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, options: RecordOptions, environment: str, clean: Callable[[str], str]) -> None:
        self._options, self._environment = options, environment
        self._redactor = Redactor(options.redact, clean)
        self._files = Files(options.folder, options.max_file_bytes, options.max_total_bytes)
        self._sessions: dict[str, SessionFile] = {}
        self._missing: dict[str, int] = {}
        """Calls of each session that the disk did not take since its last line."""
        self._queue: SimpleQueue[Event | threading.Event] = SimpleQueue()
        self._lock = threading.Lock()
        self._held = 0
        self._thread: threading.Thread | None = None
        self._failed_at: float | None = None
        self._pid = os.getpid()
        _WRITERS.add(self)
        self.lost = 0
        """Calls that the disk did not take, in all."""

    def put(self, event: Event) -> bool:
        """Queue an event; False when there is no room for it. From any thread; does not wait."""
        with self._lock:
            if event.size and self._held + event.size > self._options.max_queued_bytes:
                return False
            self._held += event.size
            self._hand_over(event)
        return True

    def _hand_over(self, item: Event | threading.Event) -> None:
        self._queue.put(item)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="openenv recording", daemon=True)
            self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until what is queued by now is written; False when it took too long. Not for the event loop."""
        if os.getpid() != self._pid:
            return True  # a child that was forked: what is queued is its parent's to write
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
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._write(item)
            except Exception:  # a bug of ours must not end all recording
                logger.exception("a line of the recording of session %s could not be made", item.session_id)
            finally:
                with self._lock:
                    self._held -= item.size
            # The loop waits for the interpreter while this thread has it: up to 5 ms, were it not given back.
            time.sleep(0)

    def _write(self, event: Event) -> None:
        if isinstance(event, Begun):
            self._begin(event)
            return
        file = self._sessions[event.session_id]
        if isinstance(event, Played):
            lines = [gap_line(event.at, event.gap, NO_ROOM)] if event.gap else []
            self._line(event, file, [*lines, call_line(event, self._redactor)])
        elif isinstance(event, Moved):
            self._line(event, file, [{"type": event.what, "at": event.at}])
        elif isinstance(event, Ended):
            lines = [gap_line(event.at, event.gap, NO_ROOM)] if event.gap else []
            self._line(event, file, [*lines, last_line(event, self._redactor)])
            self._files.close(file)
            del self._sessions[event.session_id]
            self._missing.pop(event.session_id, None)

    def _begin(self, begun: Begun) -> None:
        def first(part: int) -> bytes:
            return encoded(first_line(begun, self._environment, self._options.redact, part))

        file = self._files.begin(begun.session_id, self._environment, begun.started_at, first)
        self._sessions[begun.session_id] = file

    def _line(self, event: Played | Moved | Ended, file: SessionFile, lines: list[dict[str, Any]]) -> None:
        name = event.session_id
        if self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_S:
            # At the end there is no later: it is tried whatever happened a moment ago.
            if not isinstance(event, Ended):
                self._not_taken(event)
                return
        missing = self._missing.get(name, 0)
        if missing:
            lines = [gap_line(event.at, missing, NO_DISK), *lines]
        try:
            self._files.write(file, b"".join(map(encoded, lines)))
        except OSError as error:
            self._not_taken(event)
            if self._failed_at is None:
                logger.warning(
                    "recording in %s fails: %s; what is played meanwhile is left out, and tried again every %g s",
                    self._options.folder,
                    error.strerror or error,
                    RETRY_S,
                )
            self._failed_at = time.monotonic()
            return
        self._missing.pop(name, None)
        if self._failed_at is not None:
            self._failed_at = None
            logger.warning("recording in %s goes on; %d calls were left out", self._options.folder, self.lost)

    def _not_taken(self, event: Played | Moved | Ended) -> None:
        if isinstance(event, Played):
            self.lost += 1 + event.gap
            self._missing[event.session_id] = self._missing.get(event.session_id, 0) + 1 + event.gap
