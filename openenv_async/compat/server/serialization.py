"""`openenv.core.env_server.serialization`: dicts into actions, observations and other values into JSON's values."""

from __future__ import annotations

import importlib
import json
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from openenv_async.compat.server.mcp_types import CallToolAction, ListToolsAction
from openenv_async.compat.server.types import Action
from openenv_async.errors import InvalidPayload
from openenv_async.protocol.error_mapping import printable

Buffer = bytes | bytearray | memoryview | msgspec.Raw

_PROBLEMS: TypeAdapter[Any] = TypeAdapter(list[dict[str, Any]])
_TOOL_ACTIONS: dict[str, type[Action]] = {"list_tools": ListToolsAction, "call_tool": CallToolAction}


def deserialize_action(action_data: dict[str, Any], action_cls: Any) -> Any:
    """Build an action from a dict.

    With a `type` of `list_tools` or `call_tool` it is a tool action, where the class is the base class or one of the
    two; any other class validates the dict itself.

    Raises:
        pydantic.ValidationError: the data do not fit.
    """
    tool = _tool_action(action_data, action_cls)
    return tool if tool is not None else action_cls.model_validate(action_data)


def deserialize_action_with_preprocessing(action_data: dict[str, Any], action_cls: Any) -> Any:
    """Build an action from the fields of a web form, where numbers and lists are text.

    Text in `tokens` is read as JSON, and a list there becomes a torch tensor if torch is installed; text in
    `action_id` becomes a number, text in a tool call's `arguments` an object.

    Raises:
        pydantic.ValidationError: the data do not fit.
    """
    data = dict(action_data)
    if data.get("type") == "call_tool" and isinstance(data.get("arguments"), str):
        data["arguments"] = _read(data["arguments"], data["arguments"])
    tool = _tool_action(data, action_cls)
    if tool is not None:
        return tool
    data = dict(action_data)
    if isinstance(data.get("tokens"), (list, str)):
        data["tokens"] = _tokens(data["tokens"])
    if isinstance(data.get("action_id"), str):
        try:
            data["action_id"] = int(data["action_id"])
        except ValueError:
            pass  # the class says what is wrong with it
    return action_cls.model_validate(data)


def serialize_observation(observation: Any) -> dict[str, Any]:
    """Return an observation as it is sent: reward and done beside it, non-empty metadata in both places."""
    result = {
        "observation": observation.model_dump(exclude={"reward", "done"}),
        "reward": observation.reward,
        "done": observation.done,
    }
    if observation.metadata:
        result["metadata"] = observation.metadata
    return result


def _tool_action(data: dict[str, Any], action_cls: Any) -> Action | None:
    kind = data.get("type")
    cls = _TOOL_ACTIONS.get(kind) if isinstance(kind, str) else None
    if cls is None or not (action_cls is Action or action_cls in _TOOL_ACTIONS.values()):
        return None
    return cls.model_validate(data)


def _read(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


def _tokens(value: Any) -> Any:
    value = _read(value, []) if isinstance(value, str) else value
    if not isinstance(value, list):
        return value
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return value
    return torch.tensor(value, dtype=torch.long)


def jsonable(value: Any) -> Any:
    """Reduce a value as OpenEnv does: models are dumped, objects become their attributes, anything else its text."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "__dict__"):
        return {key: jsonable(item) for key, item in vars(value).items()}
    return str(value)


def split_of(split: Any) -> Any:
    """Return the description of a split as `{name, type}`, or as the author wrote it."""
    if hasattr(split, "model_dump") or isinstance(split, dict):
        return jsonable(split)
    known = isinstance(split, str) and split in ("train", "validation", "test")
    return {"name": str(split), "type": split if known else "validation"}


def loads(data: Buffer | str) -> Any:
    """Read JSON with Python's own reader, as OpenEnv does: NaN, lone surrogates and integers of any size."""
    return json.loads(data if isinstance(data, str) else bytes(data))


def invalid(exc: ValidationError) -> InvalidPayload:
    """Return pydantic's error as the error that is sent."""
    return InvalidPayload("Invalid message", errors=problems(exc))


def problems(exc: ValidationError) -> list[dict[str, Any]]:
    """Return pydantic's list of problems as JSON's values; an exception in it becomes its text."""
    try:
        written = _PROBLEMS.dump_json(exc.errors(), fallback=_text)
    except Exception:  # a value of the author's that cannot be read
        written = _PROBLEMS.dump_json(exc.errors(include_input=False, include_context=False), fallback=_text)
    found: list[dict[str, Any]] = json.loads(written)
    return found


def not_a_dict(value: Any, *location: str) -> InvalidPayload:
    """Return the error about a value that should be a JSON object, worded as pydantic does."""
    problem = {"type": "dict_type", "loc": [*location], "msg": "Input should be a valid dictionary", "input": value}
    return InvalidPayload("Invalid message", errors=[problem])


def _text(value: Any) -> str:
    return printable(str(value))
