"""pydantic models, when the user imported pydantic.

Owns their validation: Python-mode, as OpenEnv does it, over values that `repairs`
has first brought into the shape which JSON took from them. Writing is in
`foreign`, so that the JSON is OpenEnv's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_args

from openenv_async.codec import encoding, failures, foreign, repairs, schemas
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.texts import safe_text
from openenv_async.errors import UnencodableValue


def is_pydantic(cls: Any) -> bool:
    """Whether pydantic validates it: a model, one of its dataclasses, or a union or list of such."""
    if isinstance(cls, type) and not get_args(cls):
        return foreign.is_model_class(cls)
    return any(is_pydantic(arg) for arg in get_args(cls))


@lru_cache(maxsize=1024)
def validator(cls: Any) -> Callable[[Any], Any]:
    """Give the function that turns plain values into the class; it raises pydantic's error."""
    if hasattr(cls, "model_validate"):
        validate = cls.model_validate
    else:
        validate = sys.modules["pydantic"].TypeAdapter(cls).validate_python
    repair, aliased = repairs.repair_of(cls)
    # OpenEnv writes names and pydantic reads aliases; before 2.11 the two only meet where the author says so.
    options = {"by_alias": True, "by_name": True} if aliased and _version() >= (2, 11) else {}
    if repair is None and not options:
        return validate  # type: ignore[no-any-return]

    def repaired(value: Any) -> Any:
        return validate(value if repair is None else repair(value), **options)

    return repaired


def _version() -> tuple[int, int]:
    major, minor = sys.modules["pydantic"].VERSION.split(".")[:2]
    return int(major), int(minor)


class PydanticCodec(ModelCodec[Any]):
    """The codec of a pydantic model."""

    def __init__(self, cls: Any) -> None:
        """Build the validator on first use: a model may still wait for classes it refers to."""
        self.cls = cls

    def decode_msgpack(self, data: Buffer) -> Any:
        """Decode one value of the native wire."""
        return self.from_builtins(encoding.decode_any_msgpack(data))

    def decode_json(self, data: Buffer | str) -> Any:
        """Decode one value of the JSON wire."""
        return self.from_builtins(encoding.decode_any_json(data))

    def from_builtins(self, value: Any) -> Any:
        """Make a value from plain ones."""
        try:
            return validator(self.cls)(value)
        except BaseException as exc:
            raise failures.invalid(exc) from exc

    def encode_json(self, value: Any) -> bytes:
        """Encode a value for the JSON wire, as OpenEnv does."""
        return encoding.encode_dumped_json(dumped(value))

    def schema(self) -> dict[str, Any]:
        """Give what `model_json_schema()` gives."""
        return schemas.pydantic_schema(self.cls)


def dumped(value: Any) -> Any:
    """Dump a model; a value of any other kind is given back.

    Raises:
        UnencodableValue: a serializer of the author's raised.
    """
    if not foreign.is_model_instance(value):
        return value
    try:
        return foreign.dump(value)
    except BaseException as exc:
        raise UnencodableValue(f"cannot encode {type(value).__qualname__}: {safe_text(exc)}", path="") from exc
