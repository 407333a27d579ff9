"""What passes between a session and its executor: a call with its bytes, an outcome with its bytes.

Bytes on both sides, so that an executor in another process needs no decoding here.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import msgspec

CallKind = Literal["reset", "step", "state", "metadata", "mcp", "task", "web"]
"""`mcp` and `task` are OpenEnv's: only `compat`'s conventions take them. `web` is the page's: see `rendering`."""


class Wire(Enum):
    """How a call's bytes are written, and how its outcome's are to be."""

    NATIVE = auto()
    """msgpack both ways."""
    JSON = auto()
    """OpenEnv's `/ws`: JSON; the outcome is the reply's `data`."""
    HTTP = auto()
    """OpenEnv's HTTP bodies: as JSON, with `reward` as a float and `metadata` always there."""


NATIVE, JSON = Wire.NATIVE, Wire.JSON
"""For what happens at every call: Python 3.11 takes 0.1 µs to look up a member of an Enum."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """One thing to do with an environment."""

    kind: CallKind
    payload: bytes | msgspec.Raw
    wire: Wire
    timeout_s: float | None = None
    trace: str = ""
    """The W3C `traceparent` of the caller; empty: it has none."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The result's bytes, and what was not done as asked."""

    data: bytes
    warnings: tuple[str, ...] = ()
