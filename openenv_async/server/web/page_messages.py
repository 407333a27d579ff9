"""The web page's messages on `/ws`: those of the JSON wire, and two more requests.

`{"type": "metadata"}` is answered by the environment's description of itself, and
`{"type": "web", "data": OBSERVATION}` by its rendering: `{"html", "actions"}`. Only a
connection that agreed on the page's subprotocol may send them.
"""

from __future__ import annotations

import contextlib

import msgspec

from openenv_async.errors import EnvError
from openenv_async.limits import Limits
from openenv_async.protocol.openenv_json import JsonRequest, Kind, read_object, reply
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.server.json_messages import JsonMessages
from openenv_async.transport.link import Message

_KINDS: dict[bytes, Kind] = {b'"metadata"': "metadata", b'"web"': "web"}


class PageMessages(JsonMessages):
    """Another set of messages, and the page's own requests.

    Args:
        inner: handles every other message.
        idle_timeout_s: seconds without a message after which the session ends.
    """

    tells_end = True

    def __init__(self, inner: JsonMessages, idle_timeout_s: float) -> None:
        self._inner = inner
        self.idle_timeout_s = min(idle_timeout_s, inner.idle_timeout_s or idle_timeout_s)
        self.warns_early = inner.warns_early

    def read(self, message: Message) -> JsonRequest:
        fields: dict[str, msgspec.Raw] = {}
        if isinstance(message, str):
            with contextlib.suppress(EnvError):  # `inner` makes the error
                fields = read_object(message)
        kind = _KINDS.get(bytes(fields.get("type", b"")))
        if kind is None:
            return self._inner.read(message)
        return JsonRequest(kind, fields.get("data", msgspec.Raw(b"null")))

    def call(self, request: JsonRequest, limits: Limits) -> Call | Outcome:
        if request.kind == "metadata" or request.kind == "web":
            return Call(request.kind, request.data, Wire.JSON, limits.state_timeout_s)
        return self._inner.call(request, limits)

    def answer(self, kind: Kind, outcome: Outcome) -> str:
        if kind == "metadata" or kind == "web":
            return reply(kind, outcome.data)
        return self._inner.answer(kind, outcome)

    def failure(self, error: BaseException) -> str:
        return self._inner.failure(error)
