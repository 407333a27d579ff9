"""One example of every frame, with every field set to something other than its default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from openenv_async.protocol.batching import CLIENT_SIDE, SERVER_SIDE
from openenv_async.protocol.frames import (
    Ack,
    AnyFrame,
    Cancel,
    Chunk,
    Close,
    Closed,
    Draining,
    Failure,
    GetState,
    Hello,
    Open,
    Opened,
    Reply,
    Reset,
    Resume,
    Resumed,
    Step,
)

GOLDEN = Path(__file__).parent / "golden"

MAP = msgspec.Raw(msgspec.msgpack.encode({"message": "hi", "n": 2**60}))

V1: dict[str, AnyFrame] = {
    "open": Open(1),
    "reset": Reset(1, 2, MAP, 1.5),
    "step": Step(70_000, 3, MAP, 0.25),
    "get_state": GetState(1, 4, 30.0),
    "close": Close(300),
    "cancel": Cancel(1, 5),
    "chunk": Chunk(1, 6, 7, True, b"\x00piece\xff"),
    "hello": Hello(1, "5e1f", {"max_message_bytes": 104857600, "queue_timeout_s": 30.0}, ["cancel", "chunk"]),
    "opened": Opened(1, "9c1185a5c5e9fc54"),
    "reply": Reply(1, 7, MAP, ["the environment ignores seed"]),
    "failure": Failure(1, 8, "VALIDATION_ERROR", "message: missing", {"path": "message", "errors": [{"loc": ["m"]}]}),
    "closed": Closed(1, "SESSION_BROKEN", "the environment hung"),
    "draining": Draining(2.5),
}
"""The frames as version 1 published them. A field added later stays at its default here."""

V1_RESUME: dict[str, AnyFrame] = {
    "open": Open(1, "k3y-of-the-client"),
    "opened": Opened(1, "9c1185a5c5e9fc54", "t0ken-of-the-server"),
    "resume": Resume(2, "9c1185a5c5e9fc54", "t0ken-of-the-server"),
    "resumed": Resumed(2),
    "ack": Ack(2, 9),
}
"""What the feature "resume" added to version 1."""

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

V1_TRACE: dict[str, AnyFrame] = {
    "open": Open(1, "k3y-of-the-client", 2.5, _TRACE),
    "reset": Reset(1, 2, MAP, 1.5, _TRACE),
    "step": Step(70_000, 3, MAP, 0.25, _TRACE),
    "get_state": GetState(1, 4, 30.0, _TRACE),
}
"""What the feature "trace" added to version 1."""

VERSIONS: dict[str, dict[str, AnyFrame]] = {"v1": V1, "v1-resume": V1_RESUME, "v1-trace": V1_TRACE}

EVERY_FRAME = {f"{version} {name}": frame for version, frames in VERSIONS.items() for name, frame in frames.items()}


def decoder_for(frame: AnyFrame) -> msgspec.msgpack.Decoder[Any]:
    """Give the decoder of the side that receives such frames."""
    tag = type(frame).__struct_config__.tag
    return SERVER_SIDE if isinstance(tag, int) and tag < 16 else CLIENT_SIDE


def read_one(frame: AnyFrame, raw: bytes) -> Any:
    """Decode one frame's bytes as its receiver does: as a batch of one."""
    (found,) = decoder_for(frame).decode(b"\x91" + raw)
    return found
