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
`retryable` whether the same call may be made again in the same session. What each
leaves behind, and what to do about it, is the table of docs/errors.md. Errors can be
pickled and copied, because trainers send them between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

Fault = Literal["task", "infrastructure"]
"""`task`: the environment's own code, the policy, or the code that calls, would fail the same way on any machine.
`infrastructure`: the episode has no outcome, and played anew it may have one."""


class EnvError(Exception):
    """Base of every error that this package raises on purpose.

    `message` is one sentence: what was wrong, where, and what to do next. `details` are plain
    values that travel with it and become attributes.
    """

    # The class's, unless the server said otherwise of this one error: see `from_wire`.
    code: str = "SESSION_ERROR"
    fault: Fault = "infrastructure"
    retryable: bool = False
    session_id: str | None = None
    request_id: int | None = None
    """Whose call it was, by the names of the server's log; None where that is not known."""
    next_step: ClassVar[str] = ""
    """What `str()` adds where the sentence, which may be another server's, only says what happened."""

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        """Give the sentence; with the code, where this release does not know it."""
        text = self.message if self.code == type(self).code else f"{self.message} (code: {self.code})"
        return f"{text}; {self.next_step}" if self.next_step else text

    def __getattr__(self, name: str) -> Any:
        """Give a detail by its name."""
        details = self.__dict__.get("details", {})
        if name in details:
            return details[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


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
    """A value does not fit its class; the session lives. `path` names the field, e.g. `moves[0].x`.

    `errors` lists every problem as pydantic would: dicts with `type`, `loc`, `msg`, `input`.
    """

    code = "VALIDATION_ERROR"

    def __init__(
        self, message: str, /, *, path: str = "", errors: list[dict[str, Any]] | None = None, **details: Any
    ) -> None:
        super().__init__(message, path=path or _path(_first(errors)), errors=errors or [], **details)

    def __str__(self) -> str:
        """Give the sentence; where it names no field, as OpenEnv's does not, the first problem with it."""
        first = _first(self.details["errors"])
        if ":" in self.message or "msg" not in first:
            return self.message
        where = f" at `{self.details['path']}`" if self.details["path"] else ""
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
    """A value is larger than `limit` bytes. The session lives."""

    code = "PAYLOAD_TOO_LARGE"
    fault = "task"


class EnvironmentFailed(EnvError):
    """The environment raised; the session lives. Details: `exception_type`, `error_id`, with `--debug` `traceback`."""

    code = "EXECUTION_ERROR"
    fault = "task"

    def __str__(self) -> str:
        """Give the environment's text with the exception's type and where to find it in the log."""
        kind = self.details.get("exception_type")
        return _logged(f"{kind}: {self.message}" if kind else self.message, self.details.get("error_id"))


class UnencodableValue(EnvironmentFailed):
    """The environment returned a value that cannot travel; `path` names the field. The session lives."""


class EnvironmentCrashed(EnvError):
    """The thread or process that held the environment ended. The session is broken."""

    code = "ENV_CRASHED"


class StepTimeout(EnvError, TimeoutError):
    """The deadline passed. `session_usable` says whether the session can go on without `reset()`.

    It counts as the infrastructure's, as nobody knows why no answer came. An environment in which
    slowness is the agent's own doing takes `timeout_s` in `step` and answers in time.
    """

    code = "TIMEOUT"


class FactoryError(EnvError):
    """The environment could not be built. Details: `factory_name`, `exception_type`, `error_id`."""

    code = "FACTORY_ERROR"
    next_step = "the server's log says why"

    def __str__(self) -> str:
        """Give the sentence, the exception's type, and where to find it in the log."""
        kind = self.details.get("exception_type")
        return _logged(f"{self.message} {kind} was raised" if kind else super().__str__(), self.details.get("error_id"))


def _logged(text: str, error_id: str | None) -> str:
    return f"{text} [error {error_id} in the server's log]" if error_id else text


class CapacityError(EnvError):
    """Every slot is taken. Details: `active_sessions`, `max_sessions`, `waiting`, `retry_after_s`."""

    code = "CAPACITY_REACHED"
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


class SessionBroken(EnvError):
    """The session's environment hung or crashed earlier; `reset()` gets a fresh one."""

    code = "SESSION_BROKEN"


class ConnectFailed(EnvError, ConnectionError):
    """No server answered at the address, or what answered is not one."""

    code = "CONNECT_FAILED"
    retryable = True


class ServerNotStarted(EnvError):
    """A provider could not bring up a server. Details: `logs`, its last lines, and `exit_code`, where there are any."""

    code = "SERVER_NOT_STARTED"

    def __str__(self) -> str:
        logs = str(self.details.get("logs") or "").strip()
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
    """Make the error that a peer's frame names; a code that is not known gives an `EnvError` with that code.

    The peer's word on `fault` and `retryable` counts, where it gives one: it may be newer.
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
