"""The JSON Schema of what an environment's `reset` takes, read off its signature, for the page's form."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from openenv_async.codec import codec_for
from openenv_async.errors import EnvError
from openenv_async.runtime.signatures import accepts

Schema = dict[str, Any]

_STANDARD: dict[str, Schema] = {
    "seed": {"type": ["integer", "null"], "minimum": 0, "default": None, "description": "Makes the episode repeatable"},
    "episode_id": {"type": ["string", "null"], "maxLength": 255, "default": None, "description": "Your name for it"},
}


def reset_schema(method: Callable[..., Any] | None) -> Schema:
    """Describe the keyword arguments of `reset`.

    Args:
        method: the plain function; None: not known, so that anything may be asked.
    """
    if method is None:
        return {"type": "object", "properties": dict(_STANDARD), "additionalProperties": True}
    taken = accepts(method)
    properties: dict[str, Schema] = {
        name: schema for name, schema in _STANDARD.items() if taken.anything or name in taken.names
    }
    definitions: dict[str, Schema] = {}
    required = []
    hints = _hints(method)
    for name, parameter in _parameters(method).items():
        if name in _STANDARD or name not in taken.names or name == "self":
            continue
        properties[name] = _schema(hints.get(name, Any), definitions)
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is None or isinstance(parameter.default, (bool, int, float, str)):
            properties[name]["default"] = parameter.default
    schema = {"type": "object", "properties": properties, "additionalProperties": taken.anything}
    if required:
        schema["required"] = required
    if definitions:
        schema["$defs"] = definitions
    return schema


def _parameters(method: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(method).parameters)
    except (TypeError, ValueError):  # as in signatures.accepts
        return {}


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(method, include_extras=True)
    except Exception:  # annotations may name what only type checkers import
        return {}


def _schema(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    if annotation is Any:
        return {}
    try:
        schema = dict(codec_for(annotation).schema())
    except (EnvError, TypeError):
        return {}  # what has no schema can still be written as JSON
    definitions.update(schema.pop("$defs", {}))
    return schema
