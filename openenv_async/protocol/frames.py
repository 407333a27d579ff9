"""The frames of the native wire: their fields, their tags and their coders.

Owns what is published: a tag or a field, once released, keeps its meaning; a new
field is added at the end and has a default (`tests/protocol/golden` proves it).
Each frame is a msgpack array `[tag, field, ...]`. `batching` puts several into a message.

`sid` is the client's number for a session on this connection, `rid` the client's
number for a request in that session; both start at 1 and only grow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

SUBPROTOCOL = "openenv.v1"
"""Offered and accepted in `Sec-WebSocket-Protocol`; without it `/ws` speaks OpenEnv's JSON."""

VERSION = 1


Trace = Annotated[str, msgspec.Meta(max_length=256)]
"""A `traceparent`: short, so that it need not be counted with what a peer has under way."""


class Frame(msgspec.Struct, array_like=True, gc=False):
    """Base of all frames."""


class Open(Frame, tag=1):
    """Client: begin a session. Answered by `Opened` or a `Failure` with rid 0.

    A `key`, a secret of the client's making, asks for a session that outlives its connection. The same key again, of
    a session that nothing has been asked of yet, gives that session: so an `Opened` that was lost leaves none behind.
    `wait_s`: seconds to wait for a slot, at most what the server allows; None: as long as it allows.
    `trace`, here and in requests: the W3C `traceparent` of what the client does, for a server that has `TRACE`.
    """

    sid: int
    key: str = ""
    wait_s: float | None = None
    trace: Trace = ""


class Reset(Frame, tag=2):
    """Client: begin an episode. `data` is a msgpack map of the arguments; `timeout_s` the deadline in seconds."""

    sid: int
    rid: int
    data: msgspec.Raw
    timeout_s: float | None = None
    trace: Trace = ""


class Step(Frame, tag=3):
    """Client: play one action. `data` is the action; `timeout_s` the deadline in seconds from arrival."""

    sid: int
    rid: int
    data: msgspec.Raw
    timeout_s: float | None = None
    trace: Trace = ""


class GetState(Frame, tag=4):
    """Client: read the state."""

    sid: int
    rid: int
    timeout_s: float | None = None
    trace: Trace = ""


class Close(Frame, tag=5):
    """Client: end the session. Answered by `Closed` once the environment's `close()` has run."""

    sid: int


class Cancel(Frame, tag=6):
    """Client: nobody waits for request `rid` any longer. Not answered."""

    sid: int
    rid: int


class Chunk(Frame, tag=7):
    """Either side: piece `seq` (from 0) of one large frame's bytes; frames of other sessions go between."""

    sid: int
    rid: int
    seq: int
    last: bool
    data: bytes


class Resume(Frame, tag=8):
    """Client: go on with a session whose connection was lost. Answered by `Resumed` or a `Failure` with rid 0.

    The request in flight is sent again behind it, with the same rid: it is executed only if it never was.
    """

    sid: int
    session_id: str
    token: str


class Ack(Frame, tag=9):
    """Client: the reply to request `rid` has arrived and need not be kept. A later request says the same. No answer."""

    sid: int
    rid: int


class Hello(Frame, tag=16):
    """Server: the first frame of a connection. Unknown features and limits are ignored."""

    version: int
    server_id: str
    limits: dict[str, Any] = {}
    features: list[str] = []


class Opened(Frame, tag=17):
    """Server: the session exists and its environment is built. `session_id` names it in the server's log.

    A `token` is what `Resume` must present; none: the session ends with its connection.
    """

    sid: int
    session_id: str
    token: str = ""


class Reply(Frame, tag=18):
    """Server: the result of request `rid`: an observation or a state, and what was not done as asked."""

    sid: int
    rid: int
    data: msgspec.Raw
    warnings: list[str] = []


class Failure(Frame, tag=19):
    """Server: request `rid` failed (rid 0: the opening; sid 0: the message itself could not be read)."""

    sid: int
    rid: int
    code: str
    message: str
    details: dict[str, Any] = {}


class Closed(Frame, tag=20):
    """Server: the session has ended. An empty `code` means that the client asked for it."""

    sid: int
    code: str = ""
    message: str = ""


class Draining(Frame, tag=21):
    """Server: no new sessions; calls in flight have `grace_s` seconds."""

    grace_s: float


class Resumed(Frame, tag=22):
    """Server: the session is on this connection now."""

    sid: int


ClientFrame = Open | Reset | Step | GetState | Close | Cancel | Resume | Ack | Chunk
ServerFrame = Hello | Opened | Reply | Failure | Closed | Draining | Resumed | Chunk
AnyFrame = ClientFrame | ServerFrame

CLIENT_FRAMES: tuple[type[Frame], ...] = (Open, Reset, Step, GetState, Close, Cancel, Resume, Ack, Chunk)
SERVER_FRAMES: tuple[type[Frame], ...] = (Hello, Opened, Reply, Failure, Closed, Draining, Resumed, Chunk)

RESUME = "resume"
"""The feature in `Hello`: sessions outlive their connection for its limit `resume_window_s`."""

TRACE = "trace"
"""The feature in `Hello`: spans are made, as children of those that `trace` names."""

_ENCODER = msgspec.msgpack.Encoder()


encode: Callable[[AnyFrame], bytes] = _ENCODER.encode
"""Returns one frame's bytes, for chunking and golden files."""

encode_batch: Callable[[list[AnyFrame]], bytes] = _ENCODER.encode
"""Returns the bytes of one message: a msgpack array of frames."""
