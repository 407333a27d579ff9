"""The codec of a pydantic model, for users who imported pydantic.

Validation is Python-mode, as OpenEnv does it, and the JSON is OpenEnv's: `pydantic_interop` has both.
"""

from __future__ import annotations

from typing import Any, get_args

from openenv_async.codec import decode_errors, encoding, hooks, json_schema, pydantic_interop
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import UnencodableValue


def is_pydantic(cls: Any) -> bool:
    """Return whether pydantic validates the class: a model, one of its dataclasses, or a union or list of such."""
    if isinstance(cls, type) and not get_args(cls):
        return pydantic_interop.is_model_class(cls)
    return any(is_pydantic(arg) for arg in get_args(cls))


class PydanticCodec(ModelCodec[Any]):
    """The codec of a pydantic model."""

    def __init__(self, cls: Any) -> None:
        # The validator is built on first use: a model may still wait for classes it refers to.
        self.cls = cls

    def decode_msgpack(self, data: Buffer) -> Any:
        return self.from_builtins(encoding.decode_any_msgpack(data))

    def decode_json(self, data: Buffer | str) -> Any:
        return self.from_builtins(encoding.decode_any_json(data))

    def from_builtins(self, value: Any) -> Any:
        try:
            return pydantic_interop.validator(self.cls, hooks.decode_hook)(value)
        except BaseException as exc:
            raise decode_errors.invalid(exc) from exc

    def encode_json(self, value: Any) -> bytes:
        return encoding.encode_dumped_json(dumped(value))

    def schema(self) -> dict[str, Any]:
        return json_schema.pydantic_schema(self.cls)


def dumped(value: Any) -> Any:
    """Return a model as Python values; a value of any other kind unchanged.

    Raises:
        UnencodableValue: an author's serializer raised an exception.
    """
    if not pydantic_interop.is_model_instance(value):
        return value
    try:
        return pydantic_interop.dump(value)
    except BaseException as exc:
        raise UnencodableValue(f"cannot encode {type(value).__qualname__}: {safe_text(exc)}", path="") from exc
