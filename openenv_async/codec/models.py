"""Interface of a codec: values of one class to bytes and back.

`struct_codec`, `pydantic_codec` and `factory` implement it, `factory` chooses. `encoding` and `decode_errors` have
what they share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from openenv_async.codec import encoding
from openenv_async.codec.encoding import Buffer

T = TypeVar("T")


class ModelCodec(ABC, Generic[T]):
    """Encodes and decodes values of one class. Built once per class by `codec_for`.

    Every decode raises `errors.InvalidPayload`, every encode `errors.UnencodableValue`,
    and nothing else, whatever the author's own code raises.
    """

    cls: Any

    @abstractmethod
    def decode_msgpack(self, data: Buffer) -> T:
        """Decode one value of the native wire."""

    @abstractmethod
    def decode_json(self, data: Buffer | str) -> T:
        """Decode one value of the JSON wire."""

    @abstractmethod
    def from_builtins(self, value: Any) -> T:
        """Make a value from plain ones, e.g. a dict; an instance of the class is returned as it is."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the class's JSON Schema, with its properties at the top."""

    encode_msgpack = staticmethod(encoding.encode_any_msgpack)
    """Encodes a value for the native wire; also one of another class."""

    def encode_json(self, value: T) -> bytes:
        """Encode a value for the JSON wire; also one of another class."""
        return encoding.encode_any_json(value)

    def to_builtins(self, value: T) -> Any:
        """Return the value as `encode_json` would write it: dicts, lists, text, numbers, None."""
        return encoding.decode_any_json(self.encode_json(value))
