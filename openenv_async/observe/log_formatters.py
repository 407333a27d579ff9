"""Lines of the log as a server writes them: with the ids of their session and request, as text or JSON.

`Whose` finds the ids, the two formatters write them. What must not be written is the business of `server.log_filter`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from openenv_async.protocol.error_mapping import plain
from openenv_async.runtime.current_session import ids_of

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "session_id",
    "request_id",
    "openenv_filtered",
}
"""Attributes that every record has, and those that have a place of their own in a line."""


_encode = msgspec.json.Encoder().encode


class Whose(logging.Filter):
    """Marks each record with `session_id` and `request_id`, where it belongs to a session. Lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`. Runs where the line was written, so that the context says whose it is."""
        if "request_id" not in vars(record):
            ids = ids_of(getattr(record, "session_id", ""))
            record.session_id = ids.session_id if ids else None
            record.request_id = ids.request_id if ids else None
        return True


WHOSE = Whose()


class TextLines(logging.Formatter):
    """One line of text for each record; the ids are at its end, unless it names the session already."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        text = super().formatMessage(record)
        session_id, request_id = getattr(record, "session_id", None), getattr(record, "request_id", None)
        said = [f"session {session_id}"] if session_id and session_id not in record.message else []
        if request_id is not None and "request_id" not in record.message:
            said.append(f"request {request_id}")
        return f"{text} [{', '.join(said)}]" if said else text


class JsonLines(logging.Formatter):
    """One JSON object for each record: `ts level logger message`, ids, the fields of an event, `exception`.

    Args:
        clean: makes a field's value harmless, by its name and its value; the filters of a handler see to the rest.
    """

    def __init__(self, clean: Callable[[str, Any], Any] = lambda name, value: value) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, Any] = {
            "ts": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("session_id", "request_id"):
            value = getattr(record, name, None)
            if value is not None and value != "":
                line[name] = value
        if record.process is not None and record.pathname == "(process)":
            line["pid"] = record.process
        fields = {name: value for name, value in vars(record).items() if name not in _OWN and name not in line}
        line |= {name: self._clean(name, plain(value)) for name, value in fields.items()}
        text = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        if text:
            line["exception"] = text
        if record.stack_info:
            line["stack"] = record.stack_info
        return _encode({name: plain(value) for name, value in line.items()}).decode()


def _timestamp(created: float) -> str:
    seconds = int(created)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int((created - seconds) * 1e6):06d}Z"
