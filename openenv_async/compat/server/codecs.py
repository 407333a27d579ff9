"""An OpenEnv action class as a codec of the runtime's, and pydantic's problems as the wire carries them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from openenv_async.codec import ModelCodec, ObservationCodec, codec_for, observation_codec_for
from openenv_async.compat.server.serialization import deserialize_action
from openenv_async.errors import InvalidPayload, UsageError
from openenv_async.protocol.error_mapping import printable

Buffer = bytes | bytearray | memoryview | msgspec.Raw

_PROBLEMS: TypeAdapter[Any] = TypeAdapter(list[dict[str, Any]])
_PLAIN: ModelCodec[Any] = codec_for(None)


class ActionCodec(ModelCodec[Any]):
    """Reads actions as OpenEnv does: by `model_validate`, tool actions by their type."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls

    def decode_msgpack(self, data: Buffer) -> Any:
        """Decode one value of the native wire."""
        return self.from_builtins(_PLAIN.decode_msgpack(data))

    def decode_json(self, data: Buffer | str) -> Any:
        """Decode one value of the JSON wire."""
        return self.from_builtins(loads(data))

    def from_builtins(self, value: Any) -> Any:
        """Make an action of a dict.

        Raises:
            InvalidPayload: it does not fit, or a validator raised something else.
        """
        if not isinstance(value, dict):
            raise InvalidPayload("Invalid message", errors=[_no_object(value)])
        try:
            return deserialize_action(value, self.cls)
        except ValidationError as exc:
            raise invalid(exc) from exc

    def schema(self) -> dict[str, Any]:
        """Give what `model_json_schema()` gives."""
        schema: dict[str, Any] = self.cls.model_json_schema()
        return schema


def observations_of(cls: Any) -> ObservationCodec[Any]:
    """Give the native wire's codec of an observation class; plain values where the class is none we can read."""
    try:
        return observation_codec_for(cls)
    except UsageError:
        return observation_codec_for(None)


def values_of(cls: Any) -> ModelCodec[Any]:
    """Give the codec of a state class; plain values where the class is none we can read."""
    try:
        return codec_for(cls)
    except UsageError:
        return _PLAIN


def loads(data: Buffer | str) -> Any:
    """Read JSON as Python's reader does, as OpenEnv: NaN, lone surrogates and integers of any size."""
    return json.loads(data if isinstance(data, str) else bytes(data))


def invalid(exc: ValidationError) -> InvalidPayload:
    """Give pydantic's error as the wire carries it."""
    return InvalidPayload("Invalid message", errors=problems(exc))


def problems(exc: ValidationError) -> list[dict[str, Any]]:
    """Give pydantic's list of problems as JSON's values; an exception in it, which has none, becomes its text."""
    try:
        written = _PROBLEMS.dump_json(exc.errors(), fallback=_text)
    except Exception:  # a value of the author's that raises when it is looked at
        written = _PROBLEMS.dump_json(exc.errors(include_input=False, include_context=False), fallback=_text)
    found: list[dict[str, Any]] = json.loads(written)
    return found


def _text(value: Any) -> str:
    return printable(str(value))


def _no_object(value: Any) -> dict[str, Any]:
    return {"type": "dict_type", "loc": ["data"], "msg": "Input should be a valid dictionary", "input": value}
