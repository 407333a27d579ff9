"""Converts exceptions of decoders to `InvalidPayload`: text, path and list of problems.

Exceptions of an author's validator too: a value from outside must never end a session.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec

from openenv_async.codec import hooks, slow_encoder
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import InvalidPayload

Loc = list[str | int]

_PLACED = re.compile(r"(?P<text>.*) - at (?:`key` in )?`\$(?P<path>[^`]*)`", re.DOTALL)
_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<kind>[a-z]+)[^`]*`(?:, got|$)")
_TYPES = {
    "int": "int_type",
    "float": "float_type",
    "str": "string_type",
    "bool": "bool_type",
    "bytes": "bytes_type",
    "array": "list_type",
    "object": "dict_type",
    "datetime": "datetime_type",
    "uuid": "uuid_type",
    "null": "none_required",
}
_MAX_INPUT = 500


def invalid(exc: BaseException, read: Any = None) -> InvalidPayload:
    """Return the error for an exception of a decoder.

    Args:
        exc: what was raised.
        read: returns the payload as plain values, to quote the bad one; None: it is not quoted.
    """
    if isinstance(exc, InvalidPayload):
        return exc
    foreign = exc if is_validation_error(exc) else exc.__cause__
    if isinstance(exc, msgspec.ValidationError) and not is_validation_error(foreign):
        return _of_msgspec(exc, read)
    if foreign is not None and is_validation_error(foreign):
        return of_pydantic(foreign, _split(str(exc))[1] if foreign is not exc else [])
    return _of_anything(exc)


def is_validation_error(exc: BaseException | None) -> bool:
    """Return whether it is pydantic's, without importing pydantic."""
    core = sys.modules.get("pydantic_core")
    return core is not None and isinstance(exc, core.ValidationError)


def path_of(loc: Loc) -> str:
    """Return a location as text: `moves[0].x`."""
    text = "".join(f"[{part}]" if isinstance(part, int) or part == "..." else f".{part}" for part in loc)
    return text.removeprefix(".")


def _split(message: str) -> tuple[str, Loc]:
    found = _PLACED.fullmatch(message)
    if found is None:
        return message, []
    loc: Loc = [int(index) if index.isdigit() else (name or index) for name, index in _PART.findall(found["path"])]
    return found["text"], loc


def _of_msgspec(exc: msgspec.ValidationError, read: Any) -> InvalidPayload:
    text, loc = _split(safe_text(exc))
    problem = {"type": "value_error", "loc": loc, "msg": text}
    sentence = f"Invalid message: {text[:1].lower()}{text[1:]}" if exc.__cause__ is None else f"Invalid message: {text}"
    if loc:
        sentence += f" at `{path_of(loc)}`"
    if (field := _FIELD.fullmatch(text)) is not None:
        missing = field["what"].startswith("missing")
        loc = [*loc, field["name"]]
        problem |= {"type": "missing" if missing else "extra_forbidden", "loc": loc}
    elif exc.__cause__ is None and (kind := _EXPECTED.match(text)) is not None:
        problem["type"] = _TYPES.get(kind["kind"], "type_error")
    elif text.startswith("Invalid enum value"):
        problem["type"] = "enum"
    if read is not None:
        problem |= _quoted(read, loc)
    return InvalidPayload(sentence, path=path_of(loc), errors=[problem])


def _quoted(read: Any, loc: Loc) -> dict[str, Any]:
    """Return `{"input": value}` when the bad value can be found and is small and plain."""
    try:
        value = read()
        for part in loc:
            value = value[part]
    except Exception:
        return {}
    if isinstance(value, str):
        return {"input": safe_text(value[:_MAX_INPUT])}
    return {"input": value} if value is None or type(value) in (bool, int, float) else {}


def _of_anything(exc: BaseException) -> InvalidPayload:
    kind, text = "value_error", safe_text(exc)
    if isinstance(exc, RecursionError):
        kind, text = "recursion", "nested too deep"
    elif isinstance(exc, UnicodeDecodeError):
        kind, text = "unicode_error", "a text is not valid UTF-8"
    elif isinstance(exc, msgspec.DecodeError):
        kind = "malformed"
        # A name keeps its capitals: "JSON is malformed".
        text = f"{text[:1].lower()}{text[1:]}" if text[1:2].islower() else text
    elif not isinstance(exc, ValueError):
        name = type(exc).__name__
        text = name if text == name else f"{name}: {text}"
    return InvalidPayload(f"Invalid message: {text}", errors=[{"type": kind, "loc": [], "msg": text}])


def of_pydantic(exc: Any, prefix: Loc) -> InvalidPayload:
    """Keep pydantic's list of problems as JSON's values, each under `prefix`."""
    errors = _listed(exc)
    for error in errors:
        error["loc"] = [*prefix, *error.get("loc", ())]
    path = path_of(errors[0]["loc"]) if errors else path_of(prefix)
    return InvalidPayload("Invalid message", path=path, errors=errors)


def _listed(exc: Any) -> list[dict[str, Any]]:
    core = sys.modules["pydantic_core"]
    # With everything; else without the input, which may be of any type; else without the values of a validator.
    for options in ({}, {"include_input": False}, {"include_input": False, "include_context": False}):
        try:
            listed: list[dict[str, Any]] = core.to_jsonable_python(
                exc.errors(**options), inf_nan_mode="null", by_alias=False, fallback=_described
            )
            msgspec.json.encode(listed)
            return listed
        except BaseException:
            continue
    return [{"type": "value_error", "loc": [], "msg": safe_text(exc)}]


def _described(value: Any) -> Any:
    if isinstance(value, BaseException):
        return safe_text(value)
    return slow_encoder.flatten(value, hooks.json_hook, native=False)
