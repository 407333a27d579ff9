"""How the JSON wire's messages are worded: read, answered, refused.

`server.json_ws` moves messages between a socket and a session; what they say
is decided here. `compat` has a dialect of its own, which words everything as
OpenEnv 0.10.0 does.
"""

from __future__ import annotations

from openenv_async.limits import Limits
from openenv_async.protocol.error_mapping import describe
from openenv_async.protocol.openenv_json import Kind, Request, failure, no_mcp, read_request, reply
from openenv_async.runtime.calls import JSON, Call, Outcome
from openenv_async.transport.link import Message


class Dialect:
    """This package's own wording."""

    idle_timeout_s: float | None = None
    """Seconds without a message after which a session ends; None: never."""

    warns_early = True
    """A step before any reset is answered with a warning that its environment is fresh."""

    tells_end = False
    """A session that the server ends is told why in an error frame, which OpenEnv's clients do not expect."""

    def read(self, message: Message) -> Request:
        """Read one message.

        Raises:
            EnvError: it is none, or none of a known type.
        """
        return read_request(message)

    def call(self, request: Request, limits: Limits) -> Call | Outcome:
        """Give what to ask of the environment, or the answer when it need not be asked."""
        if request.kind == "step" or request.kind == "reset":
            return Call(request.kind, request.data, JSON)
        if request.kind == "state":
            return Call("state", b"", JSON, limits.state_timeout_s)
        return Outcome(no_mcp(request.data))

    def answer(self, kind: Kind, outcome: Outcome) -> str:
        """Give the reply to what went well."""
        if kind == "step" or kind == "reset":
            return reply("observation", outcome.data, outcome.warnings)
        return reply("mcp" if kind == "mcp" else "state", outcome.data)

    def failure(self, error: BaseException) -> str:
        """Give the reply to what did not."""
        return failure(describe(error))


DIALECT = Dialect()
