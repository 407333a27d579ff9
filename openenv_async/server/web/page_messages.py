"""How the web page talks over `/ws`: as any client of the JSON wire, and two questions more.

`{"type": "metadata"}` is answered by what the environment says of itself, and
`{"type": "web", "data": OBSERVATION}` by what it draws: `{"html", "actions"}`. Only a
connection that agreed on the page's subprotocol may ask.
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
    """Another dialect, and the page's own questions.

    Args:
        inner: words everything else.
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
            with contextlib.suppress(EnvError):  # which the other dialect words
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
