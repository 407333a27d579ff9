"""What passes between the server and a session's process: layouts, and nothing about sockets.

A message is a fixed head and the payload's bytes as they are: an action reaches the
environment, and an observation the client's connection, without being decoded here.
Both ends are always of one installation, so the layouts are private to it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from math import isnan, nan
from typing import Any, NamedTuple, get_args

import msgspec

from openenv_async.errors import EnvError, from_wire
from openenv_async.protocol.error_mapping import describe
from openenv_async.runtime.calls import Call, CallCancelled, CallKind, Outcome, Wire
from openenv_async.tracing import PARENT_LENGTH

_REQUEST = struct.Struct("<xBBIId")
_REPLY = struct.Struct("<xBIII")
_TRACED = 0x80
"""Added to an op: the caller's `traceparent` comes before the payload."""

_WIRES = {1: Wire.NATIVE, 2: Wire.JSON, 3: Wire.HTTP}
_WIRE_NUMBERS = {wire: number for number, wire in _WIRES.items()}


class Op(IntEnum):
    """What the server asks for."""

    OPEN = 1
    CLOSE = 2
    CANCEL = 3
    RESET = 4
    STEP = 5
    STATE = 6
    METADATA = 7
    MCP = 8
    TASK = 9
    WEB = 10


_OPS: dict[CallKind, int] = {kind: int(Op[kind.upper()]) for kind in get_args(CallKind)}
_KINDS: dict[int, CallKind] = {number: kind for kind, number in _OPS.items()}


class ReplyKind(IntEnum):
    """What the process says."""

    OUTCOME = 1
    FAILED = 2
    OPENED = 3
    CLOSED = 4
    LOG = 5
    BEGUN = 6


OUTCOME, FAILED, LOG, CLOSE, CANCEL = map(
    int, (ReplyKind.OUTCOME, ReplyKind.FAILED, ReplyKind.LOG, Op.CLOSE, Op.CANCEL)
)
"""What is asked at every call: Python 3.11 takes 0.1 µs to look up a member of an Enum."""


class ChildRequest(NamedTuple):
    """One message to a process."""

    op: int
    number: int
    rid: int
    payload: bytes
    wire: int
    timeout_s: float | None
    trace: str = ""

    @property
    def call(self) -> Call:
        """The call that it asks for."""
        return Call(_KINDS[self.op], self.payload, _WIRES[self.wire], self.timeout_s, self.trace)


class ChildReply(NamedTuple):
    """One message from a process."""

    kind: int
    number: int
    rid: int
    extra: bytes
    payload: bytes


class Opening(msgspec.Struct, frozen=True):
    """What a session's environment is opened with."""

    session_id: str
    max_message_bytes: int
    create_timeout_s: float | None = None


class Facts(msgspec.Struct, frozen=True):
    """What is known of an environment once it is built."""

    is_async: bool
    step_timeout_s: float | None


class LogLine(msgspec.Struct, frozen=True):
    """One record of the process's log, its traceback in the text."""

    name: str
    level: int
    text: str
    session_id: str


class _Failed(msgspec.Struct, frozen=True):
    code: str
    message: str
    details: dict[str, Any]
    cancelled: bool = False


_encode = msgspec.msgpack.Encoder().encode
_failures = msgspec.msgpack.Decoder(_Failed)
_warnings = msgspec.msgpack.Decoder(tuple[str, ...])


def request(op: int, number: int, rid: int = 0, payload: Any = b"") -> bytes:
    """Write a request that is not a call; `payload` is bytes or a Struct of this module."""
    body = payload if isinstance(payload, bytes) else _encode(payload)
    return _REQUEST.pack(op, 0, number, rid, nan) + body


def call_request(call: Call, number: int, rid: int) -> bytes:
    """Write a call; its payload is copied and not decoded."""
    timeout_s = nan if call.timeout_s is None else call.timeout_s
    op, wire = _OPS[call.kind], _WIRE_NUMBERS[call.wire]
    if len(call.trace) == PARENT_LENGTH and call.trace.isascii():
        head = _REQUEST.pack(op | _TRACED, wire, number, rid, timeout_s)
        return b"".join((head, call.trace.encode(), call.payload))
    return b"".join((_REQUEST.pack(op, wire, number, rid, timeout_s), call.payload))


def read_request(message: bytes) -> ChildRequest:
    """Read what the server sent."""
    op, wire, number, rid, timeout_s = _REQUEST.unpack_from(message)
    at, trace = _REQUEST.size, ""
    if op & _TRACED:
        op, at = op & ~_TRACED, at + PARENT_LENGTH
        trace = message[_REQUEST.size : at].decode()
    return ChildRequest(op, number, rid, message[at:], wire, None if isnan(timeout_s) else timeout_s, trace)


def outcome_reply(outcome: Outcome, number: int, rid: int) -> bytes:
    """Write the outcome of a call."""
    extra = _encode(outcome.warnings) if outcome.warnings else b""
    return b"".join((_REPLY.pack(OUTCOME, number, rid, len(extra)), extra, outcome.data))


def failed_reply(error: BaseException, number: int, rid: int) -> bytes:
    """Write what a call raised, as it would travel to a peer."""
    if isinstance(error, CallCancelled):
        return reply(ReplyKind.FAILED, number, rid, _Failed("", "", {}, cancelled=True))
    what = describe(error)
    return reply(ReplyKind.FAILED, number, rid, _Failed(what.code, what.message, what.details))


def reply(kind: int, number: int, rid: int, payload: Any) -> bytes:
    """Write any other reply; `payload` is a Struct of this module, or None."""
    return _REPLY.pack(kind, number, rid, 0) + (b"" if payload is None else _encode(payload))


def read_reply(message: bytes) -> ChildReply:
    """Read what a process sent."""
    kind, number, rid, size = _REPLY.unpack_from(message)
    at = _REPLY.size
    return ChildReply(kind, number, rid, message[at : at + size], message[at + size :])


def outcome_of(reply: ChildReply) -> Outcome:
    """Return the outcome that a reply carries."""
    warnings: Iterable[str] = _warnings.decode(reply.extra) if reply.extra else ()
    return Outcome(reply.payload, tuple(warnings))


def error_of(reply: ChildReply) -> EnvError | CallCancelled:
    """Return the error that a reply carries."""
    failed = _failures.decode(reply.payload)
    if failed.cancelled:
        return CallCancelled()
    # Class attributes on this side too: they are written again on the way to a peer.
    details = {name: value for name, value in failed.details.items() if name not in ("fault", "retryable")}
    return from_wire(failed.code, failed.message, details)
