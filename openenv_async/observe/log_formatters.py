"""Log formatters, text and JSON, and the filter that adds session and request ids to records.

`server.log_filter` removes secrets.
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
"""Attributes that every record has, and those that a line has under keys of their own."""


_encode = msgspec.json.Encoder().encode


class Whose(logging.Filter):
    """Adds `session_id` and `request_id` to each record of a session, from the context that logs it. Drops nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "request_id" not in vars(record):
            ids = ids_of(getattr(record, "session_id", ""))
            record.session_id = ids.session_id if ids else None
            record.request_id = ids.request_id if ids else None
        return True


WHOSE = Whose()


class TextLines(logging.Formatter):
    """One line of text for each record, with the ids at its end unless the message has them."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = super().formatMessage(record)
        session_id, request_id = getattr(record, "session_id", None), getattr(record, "request_id", None)
        said = [f"session {session_id}"] if session_id and session_id not in record.message else []
        if request_id is not None and "request_id" not in record.message:
            said.append(f"request {request_id}")
        return f"{text} [{', '.join(said)}]" if said else text


class JsonLines(logging.Formatter):
    """One JSON object for each record: `ts level logger message`, ids, the fields of an event, `exception`.

    Args:
        clean: returns a field's value without secrets, by its name and value; the handler's filters do so for messages.
    """

    def __init__(self, clean: Callable[[str, Any], Any] = lambda name, value: value) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
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
