"""The messages of `/ws` as OpenEnv 0.10.0 words them: pydantic's problems, the same keys, the same texts.

A message is read by the runtime's own fast reader, which accepts nothing that OpenEnv
refuses; what it refuses is read again as OpenEnv does, for the same answer.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from openenv_async.compat.server.mcp_types import WSMCPMessage
from openenv_async.compat.server.serialization import invalid, not_a_dict
from openenv_async.compat.server.types import WSCloseMessage, WSResetMessage, WSStateMessage, WSStepMessage
from openenv_async.errors import (
    CapacityError,
    EnvError,
    EnvironmentFailed,
    FactoryError,
    InvalidMessage,
    InvalidPayload,
    UnknownType,
)
from openenv_async.limits import Limits
from openenv_async.protocol.error_mapping import describe, printable, safe_text
from openenv_async.protocol.openenv_json import KINDS, JsonRequest, Kind, read_request
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.server.json_messages import JsonMessages
from openenv_async.transport.link import Message

_MODELS: dict[Kind, type[BaseModel]] = {
    "reset": WSResetMessage,
    "step": WSStepMessage,
    "state": WSStateMessage,
    "close": WSCloseMessage,
    "mcp": WSMCPMessage,
}

_BESIDE: dict[type[EnvError], tuple[str, ...]] = {
    CapacityError: ("active_sessions", "max_sessions"),
    FactoryError: ("factory_name",),
    InvalidPayload: ("errors",),
}
"""The details that are sent with an error, besides its message and code."""


class OpenEnvMessages(JsonMessages):
    """OpenEnv's message texts.

    Args:
        idle_timeout_s: seconds without a message after which a session ends; None: never.
    """

    warns_early = False  # OpenEnv's reply has no field for it

    def __init__(self, idle_timeout_s: float | None = None) -> None:
        self.idle_timeout_s = idle_timeout_s

    def read(self, message: Message) -> JsonRequest:
        try:
            return read_request(message)
        except InvalidMessage:
            if not isinstance(message, str):
                raise
        return _read_slowly(message)

    def call(self, request: JsonRequest, limits: Limits) -> Call | Outcome:
        if request.kind == "mcp":
            return Call("mcp", request.data, Wire.JSON)
        return super().call(request, limits)

    def failure(self, error: BaseException) -> str:
        what = describe(error)
        data: dict[str, Any] = {"message": what.message, "code": what.code}
        if isinstance(error, EnvironmentFailed) and error.__cause__ is not None:
            data["message"] = safe_text(error.__cause__)  # also where it is empty
        for cls, names in _BESIDE.items():
            if isinstance(error, cls):
                data.update({name: error.details[name] for name in names if error.details.get(name) is not None})
        return json.dumps({"type": "error", "data": data}, separators=(",", ":"))


def _read_slowly(message: str) -> JsonRequest:
    try:
        fields = json.loads(message)
    except json.JSONDecodeError as exc:
        raise InvalidMessage(f"Invalid JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidMessage("Invalid JSON: the message is nested too deep") from exc
    if not isinstance(fields, dict):
        raise not_a_dict(fields)
    kind = fields.get("type", "")
    for known in KINDS:
        if known == kind:
            return _request(known, fields)
    raise UnknownType(printable(f"Unknown message type: {kind}"))


def _request(kind: Kind, fields: dict[str, Any]) -> JsonRequest:
    try:
        model: Any = _MODELS[kind].model_validate(fields)
    except ValidationError as exc:
        raise invalid(exc) from exc
    return JsonRequest(kind, msgspec.Raw(json.dumps(getattr(model, "data", {})).encode()))
