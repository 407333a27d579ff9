"""Events of a session, the lines that they become in its file, and redaction: see docs/recording.md.

`recorder` queues events with the encoded bytes of a call; they are decoded and encoded as JSON here, in the writer's
thread. Reward, done, truncated and metadata are keys of the line, next to the observation, on every wire.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from openenv_async import __version__
from openenv_async.codec.encoding import decode_any_json
from openenv_async.recording.values import Path, from_msgpack, to_json
from openenv_async.runtime.calls import Wire

VERSION = 1

WIRES = {Wire.NATIVE: "native", Wire.JSON: "json", Wire.HTTP: "http"}

LEAST_BYTES = 512
"""Bytes that an event counts as, at least, while it waits to be written."""

REDACTED = "[redacted]"

_ALIASES = {"action": "request"}

_BESIDE = ("reward", "done", "truncated", "metadata")


class Begun(msgspec.Struct, frozen=True):
    """The first call of a session is about to be written."""

    session_id: str
    started_at: float
    wire: Wire
    size: int = LEAST_BYTES


class Played(msgspec.Struct, frozen=True):
    """A call and its outcome."""

    session_id: str
    at: float
    """Time of the outcome, in Unix seconds."""
    latency_s: float
    rid: int
    kind: str
    wire: Wire
    payload: bytes | None
    data: bytes | None
    warnings: tuple[str, ...] = ()
    error: tuple[str, str] | None = None
    """Code and message."""
    large: tuple[tuple[str, int], ...] = ()
    """Values that are left out because of their size, each with its size in bytes."""
    gap: int = 0
    """Number of calls before this one that are left out."""

    @property
    def size(self) -> int:
        """Bytes that the queue holds for it."""
        return LEAST_BYTES + len(self.payload or b"") + len(self.data or b"")


class Moved(msgspec.Struct, frozen=True):
    """The connection was lost or restored."""

    session_id: str
    at: float
    what: str
    size: int = 0


class Ended(msgspec.Struct, frozen=True):
    """The session is over."""

    session_id: str
    at: float
    reason: str
    message: str = ""
    gap: int = 0
    size: int = 0
    """Not counted: each session has one such event."""


Event = Begun | Played | Moved | Ended


class Redactor:
    """Replaces values; `change` is an argument of `to_json`.

    Args:
        fields: names or dotted paths. A value is replaced where the last names of its path are these:
            `password` everywhere, `user.name` in every `user`, `observation.text` at that one place.
        clean: removes secrets from a text.
    """

    def __init__(self, fields: Iterable[str], clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._fields: set[Path] = set()
        for field in fields:
            first, *rest = field.split(".")
            self._fields.add((_ALIASES.get(first, first) if rest else first, *rest))
        self._lengths = sorted({len(field) for field in self._fields})

    def change(self, path: Path, value: Any) -> Any:
        """Return the value to write in place of this one."""
        for length in self._lengths:
            if path[-length:] in self._fields:
                return REDACTED
        return self._clean(value) if type(value) is str else value


def first_line(begun: Begun, environment: str, redacted: tuple[str, ...], part: int) -> dict[str, Any]:
    """Return the first line of a file."""
    line: dict[str, Any] = {
        "type": "session",
        "version": VERSION,
        "session_id": begun.session_id,
        "environment": environment,
        "started_at": begun.started_at,
        "wire": WIRES[begun.wire],
        "openenv_async": __version__,
    }
    if redacted:
        line["redacted"] = list(redacted)
    if part > 1:
        line["part"] = part
    return line


def gap_line(at: float, calls: int, reason: str) -> dict[str, Any]:
    """Return the line that counts calls that are left out."""
    return {"type": "gap", "at": at, "calls": calls, "reason": reason}


def call_line(played: Played, redactor: Redactor) -> dict[str, Any]:
    """Return the line of one call."""
    line: dict[str, Any] = {
        "type": played.kind,
        "at": played.at,
        "latency_ms": round(played.latency_s * 1000, 3),
        "request_id": played.rid,
    }
    if played.payload is not None and played.kind != "state":
        line["request"] = _written("request", _read(played.payload, played.wire), redactor)
    if played.data is not None:
        line |= _outcome(played, redactor)
    if played.warnings:
        line["warnings"] = [redactor.change((), text) for text in played.warnings]
    if played.error is not None:
        code, message = played.error
        line["error"] = {"code": code, "message": redactor.change((), message)}
    if played.large:
        line["left_out"] = dict(played.large)
    return line


def _outcome(played: Played, redactor: Redactor) -> dict[str, Any]:
    value = _read(played.data or b"", played.wire)
    if played.kind not in ("reset", "step"):
        name = "state" if played.kind == "state" else "result"
        return {name: _written(name, value, redactor)}
    if played.wire is Wire.NATIVE:
        beside = {name: value.pop(name) for name in _BESIDE if name in value} if isinstance(value, dict) else {}
        body = value
    else:
        beside = {name: value[name] for name in _BESIDE if name in value}
        body = value.get("observation")
    line = {"observation": _written("observation", body, redactor), "reward": None, "done": False}
    line |= {name: _written(name, item, redactor) for name, item in beside.items()}
    return line


def last_line(ended: Ended, redactor: Redactor) -> dict[str, Any]:
    """Return the last line of a file."""
    line: dict[str, Any] = {"type": "end", "at": ended.at, "reason": ended.reason}
    if ended.message:
        line["message"] = redactor.change((), ended.message)
    return line


def _read(data: bytes, wire: Wire) -> Any:
    try:
        if wire is Wire.NATIVE:
            return from_msgpack(data)
        return decode_any_json(data) if data else None
    except Exception:  # the peer sent invalid bytes: the call failed, and its line has the error
        return data


def _written(name: str, value: Any, redactor: Redactor) -> Any:
    return to_json(value, (name,), redactor.change)


def encoded(line: dict[str, Any]) -> bytes:
    """Return a line as JSON, with its newline."""
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can carry only as an escape
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"
