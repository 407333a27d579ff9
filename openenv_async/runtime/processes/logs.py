"""The log of a session's process, in the server's log: records go over the session's socket, with its id.

`install` in the process, `relog` in the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from openenv_async.runtime.current_session import SESSION, about
from openenv_async.runtime.processes.messages import LogLine

_THREAD_PREFIX = "openenv-"


class Forwarding(logging.Handler):
    """Sends each record on; the traceback is in its text.

    Args:
        send: takes one record, from any thread.
    """

    def __init__(self, send: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._send(LogLine(record.name, record.levelno, self.format(record), _session_of(record)))
        except OSError:  # the server is gone, and this process about to be
            pass
        except Exception:
            self.handleError(record)


def _session_of(record: logging.LogRecord) -> str:
    # Threads do not inherit the context; those of sessions carry its id in their name.
    thread = record.threadName or ""
    return thread.removeprefix(_THREAD_PREFIX) if thread.startswith(_THREAD_PREFIX) else SESSION.get()


def install(level: int, send: Callable[[LogLine], None]) -> None:
    """Send this process's log to the server, in place of the streams that handlers have written to; files stay."""
    forwarding = Forwarding(send)
    root = logging.getLogger()
    for logger in (root, *logging.root.manager.loggerDict.values()):
        if not isinstance(logger, logging.Logger):
            continue
        kept: list[logging.Handler] = [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
        if len(kept) < len(logger.handlers) and not logger.propagate:
            kept.append(forwarding)
        logger.handlers = kept
    root.addHandler(forwarding)
    root.setLevel(level)


def relog(line: LogLine, pid: int) -> None:
    """Write one record of a process into this process's log."""
    logger = logging.getLogger(line.name)
    if not logger.isEnabledFor(line.level):
        return
    where = f"[session {line.session_id}] " if line.session_id and line.session_id not in line.text else ""
    whose = about(line.session_id) if line.session_id else None
    record = logger.makeRecord(line.name, line.level, "(process)", 0, where + line.text, (), None, extra=whose)
    record.process, record.processName = pid, f"openenv-{line.session_id}"
    logger.handle(record)
