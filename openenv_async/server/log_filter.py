"""Log filter that hides secrets and limits repeated lines.

`protect()` adds it to the loggers of this package and of Hypercorn; `openenv serve`
adds it to its handlers too, which also get the environment's own lines. Known tokens
of this process are hidden everywhere; other secrets are recognised by their names.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterable
from typing import Any

from openenv_async.observe.log_formatters import WHOSE

HIDDEN = "[secret]"

LEAST_SECRET = 6
"""Least length of a secret that is hidden everywhere: hiding `a` would make a log unreadable."""

MOST_LINES = 200
"""Lines of one kind that are written within `WINDOW_S`, from warnings upwards. Clients can cause most kinds."""

WINDOW_S = 10.0

_NAMES = "token|secret|password|passwd|api[_-]?key|access[_-]?key|private[_-]?key|signature|credential"
_PATTERNS = (
    re.compile(r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=,]\s*(?:b?[\"'])?(?:(?:bearer|basic)\s+)?)[^\s\"',;)]+"),
    re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(rf"(?i)([?&;]\w*(?:{_NAMES})\w*=)[^&\s\"'#]+"),
    re.compile(rf"(?i)(\b\w*(?:{_NAMES})[\"']?\s*[:=]\s*[\"'])[^\"']+(?=[\"'])"),
)
_SECRET_VARIABLE = re.compile(rf"(?i)(?:{_NAMES})")


class LogFilter(logging.Filter):
    """Filter that hides secrets in every record, and drops lines that come too often."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, object], int] = {}
        self._window = 0.0

    def hide(self, secret: str | None) -> None:
        """Add a secret to hide."""
        if secret and len(secret) >= LEAST_SECRET:
            self._known.add(secret)

    def without_known(self, text: str) -> str:
        """Return a text without the secrets known to this process; text that only looks like one stays."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return text

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        text = self.without_known(text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
        return text

    def clean_field(self, name: str, value: Any) -> Any:
        """Return a field of a log line without secrets; it holds plain values, as from `error_mapping.plain`."""
        if isinstance(value, str):
            return HIDDEN if _SECRET_VARIABLE.search(name) else self.clean(value)
        if isinstance(value, dict):
            return {key: self.clean_field(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.clean_field(name, item) for item in value]
        return value

    def filter(self, record: logging.LogRecord) -> bool:
        if "openenv_filtered" in vars(record):
            return True
        if record.levelno >= logging.WARNING and not self._is_due(record):
            return False
        record.openenv_filtered = True
        record.msg, record.args = self.clean(_text(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.clean(record.exc_text)
        if record.stack_info:
            record.stack_info = self.clean(record.stack_info)
        return True

    def _is_due(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._window > WINDOW_S:
                self._window, past, self._counts = now, self._counts, {}
            else:
                past = {}
            key = (record.name, record.msg if isinstance(record.msg, str) else type(record.msg))
            count = self._counts[key] = self._counts.get(key, 0) + 1
        for (name, what), times in past.items():
            if times > MOST_LINES:
                logging.getLogger(name).warning("%d more lines like this were left out: %s", times - MOST_LINES, what)
        return count <= MOST_LINES


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the text: logging itself would only print that
        return f"{record.msg} {record.args!r}"


FILTER = LogFilter()
_LOGGERS = (
    *("openenv_async", "openenv_async.server", "openenv_async.sessions", "openenv_async.access"),
    *("hypercorn.error", "hypercorn.access"),
)


def protect(secrets: Iterable[str | None] = (), *, handlers: bool = False) -> None:
    """Keep secrets out of the log from now on. Safe to repeat.

    Args:
        secrets: hidden everywhere, besides the variables of this process with the name of a secret.
        handlers: also filter at the root logger's handlers, for lines of other packages.
    """
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name):
            FILTER.hide(value)
    for secret in secrets:
        FILTER.hide(secret)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(WHOSE)
        logging.getLogger(name).addFilter(FILTER)
    if handlers:
        for handler in logging.getLogger().handlers:
            handler.addFilter(WHOSE)
            handler.addFilter(FILTER)
