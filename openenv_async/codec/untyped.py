"""Plain values: the codec of a user who named no class.

Owns only the rule that such a value is an object, unless `Any` was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openenv_async.codec import encoding
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.models import ModelCodec
from openenv_async.errors import InvalidPayload


def is_untyped(cls: Any) -> bool:
    """Whether a user's class is none: None, `dict` or `Any`."""
    return cls is None or cls is dict or cls is Any


class UntypedCodec(ModelCodec[Any]):
    """Gives dicts (for `Any`, whatever came) and takes anything."""

    def __init__(self, cls: Any) -> None:
        """Keep whether anything but an object is refused."""
        self.cls = cls
        self._objects = cls is not Any

    def decode_msgpack(self, data: Buffer) -> Any:
        """Decode one value of the native wire."""
        return self.from_builtins(encoding.decode_any_msgpack(data))

    def decode_json(self, data: Buffer | str) -> Any:
        """Decode one value of the JSON wire."""
        return self.from_builtins(encoding.decode_any_json(data))

    def from_builtins(self, value: Any) -> Any:
        """Give the value back, once it is known to be an object."""
        # Most are dicts, and asking an abstract class costs as much as the whole decoding.
        if type(value) is not dict and self._objects and not isinstance(value, Mapping):
            text = f"expected `object`, got `{type(value).__name__}`"
            raise InvalidPayload(f"Invalid message: {text}", errors=[{"type": "dict_type", "loc": [], "msg": text}])
        return value

    def schema(self) -> dict[str, Any]:
        """Describe an object of any fields."""
        return {"type": "object", "properties": {}, "additionalProperties": True} if self._objects else {}
