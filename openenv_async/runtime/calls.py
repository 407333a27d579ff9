"""What passes between a session and its executor: a call with its bytes, an outcome with its bytes.

Bytes both ways, so that the server decodes nothing for an executor in another process.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import msgspec

CallKind = Literal["reset", "step", "state", "metadata", "mcp", "task", "web"]
"""`mcp` and `task` are OpenEnv's: only `compat`'s call adapter knows them. `web` is the web page's: see `rendering`."""


class Wire(Enum):
    """How a call's bytes are written, and how its outcome's are to be."""

    NATIVE = auto()
    """msgpack both ways."""
    JSON = auto()
    """OpenEnv's `/ws`: JSON; the outcome is the reply's `data`."""
    HTTP = auto()
    """OpenEnv's HTTP bodies: as JSON, with `reward` as a float and `metadata` always there."""


NATIVE, JSON = Wire.NATIVE, Wire.JSON
"""For code that runs at every call: looking up a member of an Enum takes 0.1 µs in Python 3.11."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """One thing to do with an environment."""

    kind: CallKind
    payload: bytes | msgspec.Raw
    wire: Wire
    timeout_s: float | None = None
    trace: str = ""
    """The W3C `traceparent` of the caller; empty for none."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The result's bytes, and warnings for the caller."""

    data: bytes
    warnings: tuple[str, ...] = ()


class CallCancelled(Exception):
    """`Executor.cancel` stopped the call, so that its outcome goes to no caller."""
