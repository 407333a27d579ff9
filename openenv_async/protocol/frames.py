"""The frames of the native wire: their tags, their fields and their encoders.

A tag or a field, once released, keeps its meaning; a new field is added at the end and has a default
(`tests/protocol/golden` proves it). Each frame is a msgpack array `[tag, field, ...]`; `batching` puts several into a
message. The page `docs/native-wire.md` is generated from the docstrings here.

`sid` is the client's number for a session on this connection, `rid` the client's number for a request in that
session. Both start at 1 and only grow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

SUBPROTOCOL = "openenv.v1"
"""Offered and accepted in `Sec-WebSocket-Protocol`; without it `/ws` speaks OpenEnv's JSON."""

VERSION = 1


Trace = Annotated[str, msgspec.Meta(max_length=256)]
"""A W3C `traceparent`; short, so that it need not be counted with the bytes that a peer has in flight."""


class Frame(msgspec.Struct, array_like=True, gc=False):
    """Base of all frames."""


class Open(Frame, tag=1):
    """Client: begin a session.

    Sent at any time after `Hello`, for as many sessions as the server's limits allow. Answered by `Opened` once the
    environment is built, which may mean waiting for a slot, or by a `Failure` with rid 0.

    - `sid`: the new session's number, larger than every one before on this connection.
    - `key`: a secret that the client makes for this session; empty: the session ends with its connection. With a key
      it outlives the connection, where the server has the feature `resume`. The same key again, while nothing has
      been asked of that session yet, opens the same session: so an `Opened` that was lost leaves none behind.
    - `wait_s`: seconds to wait for a slot on a full server, at most the limit `queue_timeout_s`; nil: that limit.
    - `trace`: the W3C `traceparent` of the caller's span, for a server with the feature `trace`.
    """

    sid: int
    key: str = ""
    wait_s: float | None = None
    trace: Trace = ""


class Reset(Frame, tag=2):
    """Client: begin an episode.

    Answered by a `Reply` with the first observation, or by a `Failure`. After a session was broken, a new one must be
    opened instead.

    - `rid`: the request's number, larger than every one before in this session.
    - `data`: a map of the arguments of `reset`, such as `seed`; an empty map for none.
    - `timeout_s`: seconds from arrival that the call may take, more than 0; nil: the server's own limit, if any.
    - `trace`: as in `Open`.
    """

    sid: int
    rid: int
    data: msgspec.Raw
    timeout_s: float | None = None
    trace: Trace = ""


class Step(Frame, tag=3):
    """Client: play one action.

    Answered by a `Reply` with the observation, or by a `Failure`. The step is executed once, also when the request is
    repeated after a `Resume`.

    - `rid`: the request's number, larger than every one before in this session.
    - `data`: the action, a map of its fields.
    - `timeout_s`: seconds from arrival that the call may take, more than 0; nil: the server's own limit, if any.
    - `trace`: as in `Open`.
    """

    sid: int
    rid: int
    data: msgspec.Raw
    timeout_s: float | None = None
    trace: Trace = ""


class GetState(Frame, tag=4):
    """Client: read the environment's state.

    Answered by a `Reply` with the state, or by a `Failure`.

    - `rid`: the request's number, larger than every one before in this session.
    - `timeout_s`: seconds from arrival that the call may take, more than 0; nil: the server's limit for states.
    - `trace`: as in `Open`.
    """

    sid: int
    rid: int
    timeout_s: float | None = None
    trace: Trace = ""


class Close(Frame, tag=5):
    """Client: end a session.

    Answered by `Closed` once the environment's `close()` has run; at once for a session that does not exist.
    """

    sid: int


class Cancel(Frame, tag=6):
    """Client: stop request `rid`, whose answer is no longer wanted.

    Not answered. The request itself may still be answered if its result was already on its way; the client ignores
    that.
    """

    sid: int
    rid: int


class Chunk(Frame, tag=7):
    """Either side: one piece of a frame whose payload is larger than the limit `chunk_bytes`.

    The large frame is encoded as always, and its bytes are cut into pieces that are sent in order, one in a message.
    Frames of other sessions go between; frames of the same session wait until the last piece has left. The bytes
    joined are one frame, which is not a `Chunk`. Not answered; the joined frame is, as always.

    - `sid`, `rid`: those of the large frame.
    - `seq`: the piece's number, from 0.
    - `last`: true for the last piece.
    - `data`: the piece's bytes.
    """

    sid: int
    rid: int
    seq: int
    last: bool
    data: bytes


class Resume(Frame, tag=8):
    """Client: continue a session whose connection was lost, on this connection.

    Sent within `resume_window_s` seconds of the loss, to the server with the same `server_id`. Answered by `Resumed`,
    or by a `Failure` with rid 0. A request that was in flight is sent again behind it, with the same rid: the server
    executes it only if it had not arrived, and otherwise sends the result that it kept.

    - `sid`: the session's number on this connection, new like that of an `Open`.
    - `session_id`, `token`: those of its `Opened`.
    """

    sid: int
    session_id: str
    token: str


class Ack(Frame, tag=9):
    """Client: the reply to request `rid` has arrived, so the server need not keep it for a `Resume`.

    Sent for a reply larger than `chunk_bytes`. For a smaller one the session's next request says the same. Not
    answered.
    """

    sid: int
    rid: int


class Hello(Frame, tag=16):
    """Server: the first frame of a connection, sent once.

    Not answered. A client ignores limits and features that it does not know.

    - `version`: the version of this wire, 1.
    - `server_id`: names this run of the server; after a restart it is another one, and the sessions are gone.
    - `limits`: by name, in bytes, seconds or sessions.
    - `features`: names of what the server does besides.
    """

    version: int
    server_id: str
    limits: dict[str, Any] = {}
    features: list[str] = []


class Opened(Frame, tag=17):
    """Server: a session is open and its environment is built. The answer to `Open`.

    - `session_id`: names the session in the server's log and in `Resume`. It is not a secret.
    - `token`: the secret that `Resume` must present; empty: the session ends with its connection.
    """

    sid: int
    session_id: str
    token: str = ""


class Reply(Frame, tag=18):
    """Server: the result of request `rid`.

    The answer to `Reset`, `Step` and `GetState`.

    - `data`: the observation or the state, a map of its fields.
    - `warnings`: sentences on what was not done as asked, such as a seed that the environment ignores.
    """

    sid: int
    rid: int
    data: msgspec.Raw
    warnings: list[str] = []


class Failure(Frame, tag=19):
    """Server: request `rid` failed.

    The answer to `Reset`, `Step` and `GetState` in place of a `Reply`; with rid 0 to `Open` and `Resume`; with sid 0 to
    a message, or a frame in it, that could not be read. The session lives on unless `Closed` follows.

    - `code`: the kind of error, such as `VALIDATION_ERROR`.
    - `message`: one sentence for people.
    - `details`: by name. `fault` says whether the task or the infrastructure failed, `retryable` whether the same
      request may be sent again; others depend on the code.
    """

    sid: int
    rid: int
    code: str
    message: str
    details: dict[str, Any] = {}


class Closed(Frame, tag=20):
    """Server: a session has ended, and its number is not used again.

    The answer to `Close`. Also sent without one, when the environment hung or crashed, or when the server ends the
    session.

    - `code`: why it ended, as in `Failure`; empty: the client closed it.
    - `message`: one sentence for people; may be empty.
    """

    sid: int
    code: str = ""
    message: str = ""


class Draining(Frame, tag=21):
    """Server: it is stopping, and opens no new sessions.

    Sent once. Not answered.

    - `grace_s`: seconds that calls in flight may still take.
    """

    grace_s: float


class Resumed(Frame, tag=22):
    """Server: a session continues on this connection. The answer to `Resume`."""

    sid: int


ClientFrame = Open | Reset | Step | GetState | Close | Cancel | Resume | Ack | Chunk
ServerFrame = Hello | Opened | Reply | Failure | Closed | Draining | Resumed | Chunk
AnyFrame = ClientFrame | ServerFrame

CLIENT_FRAMES: tuple[type[Frame], ...] = (Open, Reset, Step, GetState, Close, Cancel, Resume, Ack, Chunk)
SERVER_FRAMES: tuple[type[Frame], ...] = (Hello, Opened, Reply, Failure, Closed, Draining, Resumed, Chunk)

RESUME = "resume"
"""Feature in `Hello`: sessions opened with a key outlive their connection for the limit `resume_window_s`."""

TRACE = "trace"
"""Feature in `Hello`: the server makes spans, as children of those that `trace` names."""

_ENCODER = msgspec.msgpack.Encoder()


encode: Callable[[AnyFrame], bytes] = _ENCODER.encode
"""Returns one frame's bytes, for chunking and golden files."""

encode_batch: Callable[[list[AnyFrame]], bytes] = _ENCODER.encode
"""Returns the bytes of one message: a msgpack array of frames."""
