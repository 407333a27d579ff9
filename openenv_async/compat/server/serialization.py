"""`openenv.core.env_server.serialization`: plain dicts into actions, observations into plain dicts."""

from __future__ import annotations

import importlib
import json
from typing import Any

from openenv_async.compat.server.mcp_types import CallToolAction, ListToolsAction
from openenv_async.compat.server.models import Action

_TOOL_ACTIONS: dict[str, type[Action]] = {"list_tools": ListToolsAction, "call_tool": CallToolAction}


def deserialize_action(action_data: dict[str, Any], action_cls: Any) -> Any:
    """Make an action.

    A `type` of `list_tools` or `call_tool` makes a tool's action where the class is the base or one of these; a class
    of the environment's own judges for itself.

    Raises:
        pydantic.ValidationError: the data do not fit.
    """
    tool = _tool_action(action_data, action_cls)
    return tool if tool is not None else action_cls.model_validate(action_data)


def deserialize_action_with_preprocessing(action_data: dict[str, Any], action_cls: Any) -> Any:
    """Make an action of what a form on a web page gives, where numbers and lists are text.

    Text in `tokens` is read as JSON and a list there becomes a torch tensor if torch is installed; text in
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
    """Give an observation as it travels: reward and done beside it, metadata that is not empty in both places."""
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
