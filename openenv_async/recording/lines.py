"""What happened in a session, as the lines of its file: see docs/recording.md.

Owns the keys. `recorder` notes what happened while the session is played, as bytes; here they are read and
written anew, in the writer's thread. What an observation holds of reward, done, truncated and metadata stands
beside it, whichever wire it came by.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from openenv_async import __version__
from openenv_async.codec.encoding import decode_any_json
from openenv_async.recording.redacting import Redactor
from openenv_async.recording.values import from_msgpack, to_json
from openenv_async.runtime.calls import Wire

VERSION = 1

WIRES = {Wire.NATIVE: "native", Wire.JSON: "json", Wire.HTTP: "http"}

LEAST_BYTES = 512
"""What an event is counted as at least, while it waits to be written."""

_BESIDE = ("reward", "done", "truncated", "metadata")


class Begun(msgspec.Struct, frozen=True):
    """A session's first call is about to be written."""

    session_id: str
    started_at: float
    wire: Wire
    size: int = LEAST_BYTES


class Played(msgspec.Struct, frozen=True):
    """A call and what came of it."""

    session_id: str
    at: float
    """When its outcome was there, in Unix seconds."""
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
    """What is left out because of its size, with its size."""
    gap: int = 0
    """Calls before it that are left out."""

    @property
    def size(self) -> int:
        """Bytes that are held for it."""
        return LEAST_BYTES + len(self.payload or b"") + len(self.data or b"")


class Moved(msgspec.Struct, frozen=True):
    """The connection was lost, or found again."""

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
    """There is only one for each that has begun."""


Event = Begun | Played | Moved | Ended


def first_line(begun: Begun, environment: str, redacted: tuple[str, ...], part: int) -> dict[str, Any]:
    """Give the line that a file begins with."""
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
    """Give the line that stands for calls that are not there."""
    return {"type": "gap", "at": at, "calls": calls, "reason": reason}


def call_line(played: Played, redactor: Redactor) -> dict[str, Any]:
    """Give the line of one call."""
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
    """Give the line that a file ends with."""
    line: dict[str, Any] = {"type": "end", "at": ended.at, "reason": ended.reason}
    if ended.message:
        line["message"] = redactor.change((), ended.message)
    return line


def _read(data: bytes, wire: Wire) -> Any:
    try:
        if wire is Wire.NATIVE:
            return from_msgpack(data)
        return decode_any_json(data) if data else None
    except Exception:  # whatever a peer sent that is nothing: the call failed, and its line says so
        return data


def _written(name: str, value: Any, redactor: Redactor) -> Any:
    return to_json(value, (name,), redactor.change)


def encoded(line: dict[str, Any]) -> bytes:
    """Give a line as it is written, its end included."""
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can carry
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"
