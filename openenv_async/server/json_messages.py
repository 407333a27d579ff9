"""The messages of the JSON wire: reading requests, and writing replies and errors.

`server.json_ws` passes messages between a socket and a session. `compat` and the web page have subclasses, with
OpenEnv 0.10.0's texts and the page's additional messages.
"""

from __future__ import annotations

from openenv_async.limits import Limits
from openenv_async.protocol.error_mapping import describe
from openenv_async.protocol.openenv_json import JsonRequest, Kind, failure, no_mcp, read_request, reply
from openenv_async.runtime.calls import JSON, Call, Outcome
from openenv_async.transport.link import Message


class JsonMessages:
    """Messages as this package writes them. Subclasses change them."""

    idle_timeout_s: float | None = None
    """Seconds without a message after which a session ends; None: never."""

    warns_early = True
    """The reply to a step before the first reset warns that its environment is new."""

    tells_end = False
    """Send an error frame when the server ends a session; OpenEnv's clients do not expect one."""

    def read(self, message: Message) -> JsonRequest:
        """Read one message.

        Raises:
            EnvError: it is not a request of a known type.
        """
        return read_request(message)

    def call(self, request: JsonRequest, limits: Limits) -> Call | Outcome:
        """Return the call that a request asks for, or the outcome if no call is needed."""
        if request.kind == "step" or request.kind == "reset":
            return Call(request.kind, request.data, JSON)
        if request.kind == "state":
            return Call("state", b"", JSON, limits.state_timeout_s)
        return Outcome(no_mcp(request.data))

    def answer(self, kind: Kind, outcome: Outcome) -> str:
        """Return the reply with an outcome."""
        if kind == "step" or kind == "reset":
            return reply("observation", outcome.data, outcome.warnings)
        return reply("mcp" if kind == "mcp" else "state", outcome.data)

    def failure(self, error: BaseException) -> str:
        """Return the reply for an error."""
        return failure(describe(error))


JSON_MESSAGES = JsonMessages()
