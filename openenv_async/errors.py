"""Every error a caller can meet, in one tree.

    EnvError
    ├── UsageError                the caller's own code is wrong; nothing was sent
    │   ├── NotConnected          a call before connect()
    │   ├── NotReset              step() or state() before reset()
    │   ├── ClientClosed          a call after close()
    │   ├── SessionBusy           two calls at once on one session
    │   └── WrongLoop             used from another event loop, or sync inside a running one
    ├── InvalidMessage            INVALID_JSON: the frame itself
    │   ├── UnknownType           UNKNOWN_TYPE
    │   └── InvalidPayload        VALIDATION_ERROR: a field of the action or the arguments
    ├── PayloadTooLarge           PAYLOAD_TOO_LARGE
    ├── EnvironmentFailed         EXECUTION_ERROR: the environment raised
    │   └── UnencodableValue      EXECUTION_ERROR: it returned what the wire cannot carry
    ├── EnvironmentCrashed        ENV_CRASHED: its thread or process ended
    ├── StepTimeout               TIMEOUT
    ├── FactoryError              FACTORY_ERROR: no environment could be built
    ├── CapacityError             CAPACITY_REACHED
    ├── ServerClosing             SERVER_CLOSING
    ├── Unauthorized              UNAUTHORIZED
    ├── SessionLost               SESSION_LOST: the episode is gone; reset() starts another
    ├── SessionBroken             SESSION_BROKEN: the environment hung or crashed before
    ├── ConnectFailed             no server answered
    ├── ServerNotStarted          a provider could not bring one up
    └── ProtocolError             a frame that the session's state does not allow
        ├── LocalProtocolError    this side tried to send it
        └── RemoteProtocolError   the peer sent it

An error carries fields; `__str__` makes the sentence. `code` is its name on the
wire, `fault` says whether the task or the infrastructure is to blame, and
`retryable` whether the same call may be made again in the same session. What a class
declares as a field has a type and a default; `details` holds everything that was sent,
also what a newer peer added. What each error leaves behind, and what to do about it, is
the table of docs/errors.md. Errors can be pickled and copied, because trainers send them
between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, TypeVar, cast, get_args

T = TypeVar("T")

Fault = Literal["task", "infrastructure"]
"""`task`: the environment's own code, the policy, or the code that calls, would fail the same way on any machine.
`infrastructure`: the episode has no outcome, and played anew it may have one."""


class _Detail(Generic[T]):
    """A typed attribute that reads `details`: the default where the value is missing or of another type."""

    def __init__(self, default: T, *kinds: type) -> None:
        self._default, self._kinds, self._name = default, kinds, ""

    def __set_name__(self, owner: type[EnvError], name: str) -> None:
        self._name = name

    def __get__(self, error: EnvError | None, owner: type[EnvError]) -> T:
        value: Any = None if error is None else error.details.get(self._name)
        return cast("T", value) if isinstance(value, self._kinds) else self._default


class EnvError(Exception):
    """Base of every error that this package raises on purpose.

    `message` is one sentence: what was wrong, where, and what to do next. `details` are plain
    values that travel with it.
    """

    # The class's, unless the server said otherwise of this one error: see `from_wire`.
    code: str = "SESSION_ERROR"
    fault: Fault = "infrastructure"
    retryable: bool = False
    session_id: str | None = None
    request_id: int | None = None
    """Whose call it was, by the names of the server's log; None where that is not known."""
    error_id = _Detail[str | None](None, str)
    """The id under which the server's log has the traceback; None where there is none."""
    next_step: ClassVar[str] = ""
    """What `str()` adds where the sentence, which may be another server's, only says what happened."""

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        """Return the sentence; with the code, where this release does not know it."""
        text = self.message if self.code == type(self).code else f"{self.message} (code: {self.code})"
        return f"{text}; {self.next_step}" if self.next_step else text


class UsageError(EnvError):
    """The calling code is wrong. Nothing was sent and nothing changed."""

    code = "USAGE"
    fault = "task"


class NotConnected(UsageError):
    """A call came before `connect()` or `async with`."""


class NotReset(UsageError):
    """A step or state came before the first `reset()`."""


class ClientClosed(UsageError):
    """A call came after `close()`."""


class SessionBusy(UsageError):
    """A second call began while the first was in flight; a session does one thing at a time."""


class WrongLoop(UsageError):
    """A client was used where its event loop does not run."""


class InvalidMessage(EnvError):
    """A frame could not be read. The session lives."""

    code = "INVALID_JSON"
    fault = "task"


class UnknownType(InvalidMessage):
    """A frame of a type that does not exist."""

    code = "UNKNOWN_TYPE"


class InvalidPayload(InvalidMessage):
    """A value does not fit its class; the session lives."""

    code = "VALIDATION_ERROR"
    path = _Detail[str]("", str)
    """The field, e.g. `moves[0].x`; empty where it is not known."""
    errors = _Detail[list[dict[str, Any]]]([], list)
    """Every problem as pydantic would list it: dicts with `type`, `loc`, `msg`, `input`."""

    def __init__(
        self, message: str, /, *, path: str = "", errors: list[dict[str, Any]] | None = None, **details: Any
    ) -> None:
        super().__init__(message, path=path or _path(_first(errors)), errors=errors or [], **details)

    def __str__(self) -> str:
        first = _first(self.errors)
        if ":" in self.message or "msg" not in first:
            return self.message
        # A sentence that names no field, as OpenEnv's do not, gets the first problem.
        where = f" at `{self.path}`" if self.path else ""
        return f"{self.message}: {first['msg']}{where}"


def _first(errors: Any) -> dict[str, Any]:
    # A peer's list may be anything.
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _path(problem: dict[str, Any]) -> str:
    loc = problem.get("loc")
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc] if isinstance(loc, list) else []
    return "".join(parts).lstrip(".")


class PayloadTooLarge(EnvError):
    """A value is larger than allowed. The session lives."""

    code = "PAYLOAD_TOO_LARGE"
    fault = "task"
    size = _Detail[int | None](None, int)
    """Bytes of the value, where they were counted."""
    limit = _Detail[int | None](None, int)
    """Bytes allowed."""


class EnvironmentFailed(EnvError):
    """The environment raised; the session lives."""

    code = "EXECUTION_ERROR"
    fault = "task"
    exception_type = _Detail[str | None](None, str)
    """The class of the environment's exception; None from a server that does not send it."""
    traceback = _Detail[str | None](None, str)
    """The environment's traceback, from a server that runs with `--debug`."""

    def __str__(self) -> str:
        kind = self.exception_type
        return _logged(f"{kind}: {self.message}" if kind else self.message, self.error_id)


class UnencodableValue(EnvironmentFailed):
    """The environment returned a value that cannot travel. The session lives."""

    path = _Detail[str]("", str)
    """The field, e.g. `observation.board`; empty where it is not known."""


class EnvironmentCrashed(EnvError):
    """The thread or process that held the environment ended. The session is broken."""

    code = "ENV_CRASHED"
    exit_code = _Detail[int | None](None, int)
    """The process's exit code; None where a signal ended it."""
    signal = _Detail[str | None](None, str)
    """The signal that ended the process, e.g. `SIGKILL`."""
    stderr = _Detail[str]("", str)
    """The last lines that the process wrote to stderr."""


class StepTimeout(EnvError, TimeoutError):
    """The deadline passed.

    It counts as the infrastructure's fault, because why no answer came is not known. An environment in
    which slowness is the agent's own doing takes `timeout_s` in `step` and answers in time.
    """

    code = "TIMEOUT"
    session_usable = _Detail[bool](False, bool)
    """The session can go on without `reset()`."""
    timeout_s = _Detail[float | None](None, float, int)
    """Seconds that the call was given."""


class FactoryError(EnvError):
    """The environment could not be built."""

    code = "FACTORY_ERROR"
    next_step = "the server's log says why"
    factory_name = _Detail[str | None](None, str)
    """The class or function that builds environments."""
    exception_type = _Detail[str | None](None, str)
    """The class of the exception that it raised."""
    traceback = _Detail[str | None](None, str)
    """Its traceback, from a server that runs with `--debug`."""

    def __str__(self) -> str:
        kind = self.exception_type
        return _logged(f"{self.message} {kind} was raised" if kind else super().__str__(), self.error_id)


def _logged(text: str, error_id: str | None) -> str:
    return f"{text} [error {error_id} in the server's log]" if error_id else text


class CapacityError(EnvError):
    """Every slot is taken."""

    code = "CAPACITY_REACHED"
    retry_after_s = _Detail[float | None](None, float, int)
    """Seconds after which a slot may be free, by the server's estimate; None where it gave none."""
    active_sessions = _Detail[int | None](None, int)
    """Sessions open on the server."""
    max_sessions = _Detail[int | None](None, int)
    """Sessions that it allows."""
    waiting = _Detail[int | None](None, int)
    """Clients waiting for a slot."""
    retryable = True
    next_step = "close a session, try again later, or raise the server's --max-sessions"


class ServerClosing(EnvError):
    """The server is stopping and takes no new work."""

    code = "SERVER_CLOSING"
    next_step = "connect again when it is back"


class Unauthorized(EnvError):
    """The server wants a token that was missing or wrong."""

    code = "UNAUTHORIZED"
    fault = "task"


class SessionLost(EnvError, ConnectionError):
    """The session is gone and with it the episode; `reset()` opens a new one. Nothing went on silently."""

    code = "SESSION_LOST"
    closed_by = _Detail[str | None](None, str)
    """`"operator"` where the server's operator closed it."""


class SessionBroken(EnvError):
    """The session's environment hung or crashed earlier; `reset()` gets a fresh one."""

    code = "SESSION_BROKEN"


class ConnectFailed(EnvError, ConnectionError):
    """No server answered at the address, or what answered is not one."""

    code = "CONNECT_FAILED"
    retryable = True
    status = _Detail[int | None](None, int)
    """The HTTP status that refused the connection; None when there was no HTTP answer."""
    dropped = _Detail[bool](False, bool)
    """The connection was accepted and then lost, so another attempt may succeed."""


class ServerNotStarted(EnvError):
    """A provider could not bring up a server."""

    code = "SERVER_NOT_STARTED"
    logs = _Detail[str]("", str)
    """The last lines that the server wrote."""
    exit_code = _Detail[int | None](None, int)
    """The exit code of a server that ended."""

    def __str__(self) -> str:
        logs = self.logs.strip()
        return f"{self.message}\n{logs}" if logs else self.message


class ProtocolError(EnvError):
    """A frame that the session's state does not allow."""


class LocalProtocolError(ProtocolError):
    """This side tried to send it: a bug here, or a missing call before it."""


class RemoteProtocolError(ProtocolError):
    """The peer sent it: it is answered with an error and nothing else happens."""

    code = "VALIDATION_ERROR"


def _tree(base: type[EnvError]) -> dict[str, type[EnvError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        # The class that introduced a code answers for it, not its children.
        found = _tree(child) | found
    return found


_BY_CODE = _tree(EnvError)


def from_wire(code: str, message: str, details: dict[str, Any]) -> EnvError:
    """Return the error that a peer's frame names; an unknown code gives an `EnvError` with that code.

    The peer's `fault` and `retryable` count where it sends them: it may be newer.
    """
    fields = dict(details)
    fault, retryable = fields.pop("fault", None), fields.pop("retryable", None)
    error = _BY_CODE.get(code, EnvError)(message, **fields)
    if error.code != code:
        error.code = code
    if fault in get_args(Fault):
        error.fault = fault
    if isinstance(retryable, bool):
        error.retryable = retryable
    return error
