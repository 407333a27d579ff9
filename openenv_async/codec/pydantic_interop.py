"""pydantic, for those who imported it: recognising its classes and writing its values.

Owns detection without an import and the two ways out (Python values for the
native wire, JSON values as OpenEnv writes them). `pydantic_codec` builds on it the
codec of a model; `hooks` uses it for models nested in other values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from openenv_async.codec import slow_encoder


def core() -> Any:
    """Give `pydantic_core`; only called when a value or class of pydantic's is at hand."""
    return sys.modules["pydantic_core"]


def is_model_class(cls: Any) -> bool:
    """Whether a class is validated by pydantic: a model, or one of its dataclasses."""
    return isinstance(cls, type) and "pydantic_core" in sys.modules and hasattr(cls, "__pydantic_validator__")


def is_model_instance(value: Any) -> bool:
    """Whether a value is a pydantic model that can write itself."""
    return hasattr(type(value), "__pydantic_serializer__")


def dump(value: Any, exclude: set[str] | None = None) -> Any:
    """Write a model as Python values, by field name, as OpenEnv does before it makes JSON of them."""
    # A value that was never validated warns in pydantic; the caller's log is no place to check an environment.
    return type(value).__pydantic_serializer__.to_python(value, exclude=exclude, by_alias=False, warnings=False)


def dump_jsonable(value: Any, hook: Callable[[Any], Any]) -> Any:
    """Write a model as JSON's values; see `json_bytes` for how exotic ones look."""
    dumped = dump(value)
    try:
        return core().to_jsonable_python(dumped, by_alias=False, inf_nan_mode="null", fallback=_fallback(hook))
    except Exception:
        # The walk names the field, or does what pydantic cannot.
        return slow_encoder.flatten(dumped, hook, native=False, text_bytes=True)


def json_bytes(value: Any, hook: Callable[[Any], Any]) -> bytes:
    """Write dumped values as OpenEnv 0.10.0 does: NaN and infinities null, bytes their UTF-8 text.

    Raises:
        Exception: whatever stood in the way; the caller takes the slow way.
    """
    written: bytes = core().to_json(value, by_alias=False, inf_nan_mode="null", fallback=_fallback(hook))
    return written


def _fallback(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fallback(value: Any) -> Any:
        if slow_encoder.fields_of(value) is not None:
            return slow_encoder.flatten(value, hook, native=False)
        return hook(value)

    return fallback
