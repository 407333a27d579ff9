"""Encodes and decodes observations; places reward, done, truncated and metadata on each wire.

The native wire carries the object whole; OpenEnv's two JSON forms take reward and done out of it, and a reader
puts them back.
"""

from __future__ import annotations

import dataclasses
import operator
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar, get_origin, overload

import msgspec

from openenv_async.codec import decode_errors, encoding, hooks, pydantic_interop
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.ext import ext_hook
from openenv_async.codec.factory import codec_for, is_untyped
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import InvalidPayload, UnencodableValue, UsageError

RESULT = ("reward", "done", "truncated", "metadata")
"""Fields that the trainer's `StepResult` shows."""

_TAKEN = ("reward", "done", "truncated")

Split = tuple[Any, Any, Any, Any, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """The parts of observations of one class: body, reward, done, truncated, metadata."""

    split: Callable[[Any], Split]
    pydantic: bool = False


@lru_cache(maxsize=1024)
def shape_of(cls: Any) -> Shape:
    """Return the shape of a concrete class.

    Raises:
        UnencodableValue: its objects have no named fields.
    """
    if issubclass(cls, msgspec.Struct):
        if cls.__struct_config__.array_like:
            raise no_object(cls, "travels as an array (array_like=True)")
        return Shape(_split_struct(cls))
    if issubclass(cls, Mapping):
        return Shape(_split_mapping)
    if hasattr(cls, "__pydantic_serializer__"):
        return Shape(_split_model, pydantic=True)
    if dataclasses.is_dataclass(cls):
        return Shape(_split_fields(tuple(field.name for field in dataclasses.fields(cls))))
    if hasattr(cls, "__attrs_attrs__"):
        return Shape(_split_fields(tuple(field.name for field in cls.__attrs_attrs__)))
    raise no_object(cls)


def no_object(cls: Any, why: str = "has none") -> UnencodableValue:
    """Return the error for an object of a class without named fields."""
    return UnencodableValue(
        f"observation: must have named fields, as Structs, dataclasses, pydantic models and dicts do; "
        f"`{cls.__qualname__}` {why}",
        path="observation",
    )


def _result_of(obs: Any) -> tuple[Any, Any, Any, Any]:
    return (
        getattr(obs, "reward", None),
        getattr(obs, "done", False),
        getattr(obs, "truncated", False),
        getattr(obs, "metadata", None),
    )


def _split_struct(cls: type[msgspec.Struct]) -> Callable[[Any], Split]:
    pairs = zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)
    config = cls.__struct_config__
    fixed = {} if config.tag_field is None else {config.tag_field: config.tag}
    may_be_unset = any(default is msgspec.UNSET for default in cls.__struct_defaults__)
    plain = _split_pairs([(key, name) for key, name in pairs if name not in _TAKEN])

    def split(obs: Any) -> Split:
        body = plain(obs)
        if may_be_unset:
            body = {key: value for key, value in body.items() if value is not msgspec.UNSET}
        return fixed | body if fixed else body, *_result_of(obs)

    return split


def _split_fields(names: tuple[str, ...]) -> Callable[[Any], Split]:
    plain = _split_pairs([(name, name) for name in names if name not in _TAKEN])
    return lambda obs: (plain(obs), *_result_of(obs))


def _split_pairs(pairs: list[tuple[str, str]]) -> Callable[[Any], dict[str, Any]]:
    keys = [key for key, _ in pairs]
    if not keys:
        return lambda obs: {}
    get = operator.attrgetter(*(name for _, name in pairs))
    if len(keys) == 1:
        return lambda obs: {keys[0]: get(obs)}
    return lambda obs: dict(zip(keys, get(obs), strict=True))


def _split_mapping(obs: Mapping[Any, Any]) -> Split:
    body = dict(obs)
    reward, done, truncated = body.pop("reward", None), body.pop("done", False), body.pop("truncated", False)
    return body, reward, done, truncated, body.get("metadata")


def _split_model(obs: Any) -> Split:
    # `truncated` stays in: OpenEnv's server takes only these two out of a pydantic observation, and its clients know.
    body = pydantic_interop.dump(obs, {"reward", "done"})
    return body, *_result_of(obs)


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """The fields of a reader's class."""

    keys: dict[str, str]
    """Name, and key on the wire."""

    reward_if_null: Any
    """Value for a null reward: None where the class takes it, else NaN, or UNSET for the class's default."""

    attributes: frozenset[str] = frozenset()
    """Fields that every object has as attributes; none for a TypedDict."""

    def completed(self, body: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """Put reward and the rest back, where the class has them and the body does not."""
        full = dict(body)
        for name, value in values.items():
            key = self.keys.get(name)
            if key is None or key in full:
                continue
            if name == "reward" and value is None:
                value = self.reward_if_null
            if value is not msgspec.UNSET and not (name == "metadata" and value is None):
                full[key] = value
        return full


def declared(cls: Any) -> Declared | None:
    """Return the fields of a reader's class; None for an untyped reader or a union of classes.

    Raises:
        UsageError: objects of the class have no names for their fields.
    """
    plain: Any = get_origin(cls) or cls
    if not isinstance(plain, type) or plain is dict:
        return None
    if issubclass(plain, msgspec.Struct):
        if plain.__struct_config__.array_like:
            raise UsageError(
                f"an observation must be an object; {plain.__qualname__} travels as an array (array_like=True)"
            )
        required = len(plain.__struct_fields__) - len(plain.__struct_defaults__)
        optional = {
            name
            for name, default in zip(plain.__struct_fields__[required:], plain.__struct_defaults__, strict=True)
            if default is not msgspec.NODEFAULT
        }
        keys = dict(zip(plain.__struct_fields__, plain.__struct_encode_fields__, strict=True))
        return Declared(keys, _null(plain, optional), frozenset(keys))
    if pydantic_interop.is_model_class(plain) and hasattr(plain, "model_fields"):
        fields: dict[str, Any] = plain.model_fields
        optional = {name for name, field in fields.items() if not field.is_required()}
        return Declared({name: name for name in fields}, _null(plain, optional), frozenset(fields))
    if dataclasses.is_dataclass(plain):
        found = dataclasses.fields(plain)
        missing = dataclasses.MISSING
        optional = {f.name for f in found if f.default is not missing or f.default_factory is not missing}
        keys = {field.name: field.name for field in found}
        return Declared(keys, _null(plain, optional), frozenset(keys))
    if typing.is_typeddict(plain):
        keyed: Any = plain
        names = keyed.__required_keys__ | keyed.__optional_keys__
        return Declared({name: name for name in names}, _null(plain, set(keyed.__optional_keys__)))
    return None


def _null(cls: Any, optional: set[str]) -> Any:
    try:
        annotation = typing.get_type_hints(cls).get("reward", Any)
    except Exception:
        return None
    if annotation is Any or annotation is None or _takes_none(annotation):
        return None
    # A null in a reward that cannot be null was NaN or infinite before JSON.
    return msgspec.UNSET if "reward" in optional else float("nan")


def _takes_none(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _takes_none(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return any(_takes_none(arg) for arg in typing.get_args(annotation))
    return annotation in (Any, None, type(None), object)


T = TypeVar("T")

_ROOT = "observation"


class Decoded(msgspec.Struct, Generic[T]):
    """A decoded observation, and what the trainer's `StepResult` shows of it."""

    observation: T
    reward: Any
    done: bool
    truncated: bool
    metadata: dict[str, Any] | None
    """None where it is absent or empty."""


def _decoded(observation: Any, reward: Any, done: Any, truncated: Any, metadata: Any) -> Decoded[Any]:
    # This runs at every step; almost always the flags are bools and the metadata is empty.
    if done is not False and done is not True:
        done = _flag(done)
    if truncated is not False and truncated is not True:
        truncated = _flag(truncated)
    if type(metadata) is not dict:
        metadata = _filled(metadata)
    elif not metadata:
        metadata = None
    return Decoded(observation, reward, done, truncated, metadata)


class _Beside(msgspec.Struct):
    """Values of an observation for which the reader's class has no field."""

    reward: Any = None
    done: Any = False
    truncated: Any = False
    metadata: Any = None


class ObservationCodec(Generic[T]):
    """Encodes and decodes observations. Built once per class by `observation_codec_for`.

    Encoding takes any object with named fields, whatever the declared class.
    """

    def __init__(self, cls: Any) -> None:
        """Read the class's fields once.

        Raises:
            UsageError: a codec cannot be made for the class.
        """
        self.model: ModelCodec[T] = codec_for(cls, ignore_unknown=True)
        self._untyped = is_untyped(cls)
        self._fields = declared(cls)
        self._beside = msgspec.msgpack.Decoder(_Beside, ext_hook=ext_hook)
        self._written: type | None = None
        """The class of the last encoded observation, known to have a shape."""
        self._complete = self._fields is not None and self._fields.attributes.issuperset(RESULT)

    def encode_native(self, obs: Any) -> bytes:
        """Encode the whole observation as one msgpack value."""
        cls: Any = type(obs)
        if cls is not self._written:
            shape_of(cls)
            self._written = cls
        try:
            return hooks.NATIVE.encode(obs)
        except BaseException:
            return encoding.encode_slowly(obs, _ROOT, native=True)

    def decode_native(self, data: Buffer) -> Decoded[T]:
        """Decode what `encode_native` wrote; for an untyped reader reward, done and truncated leave the dict."""
        obs: Any = self.model.decode_msgpack(data)
        if self._complete:
            return _decoded(obs, obs.reward, obs.done, obs.truncated, obs.metadata)
        if self._untyped:
            if not isinstance(obs, dict):
                return Decoded(obs, None, False, False, None)
            take = obs.pop
            # Metadata stays in.
            return _decoded(
                obs, take("reward", None), take("done", False), take("truncated", False), obs.get("metadata")
            )
        found = self._read_beside(data)
        if not isinstance(obs, dict):
            for name in found:
                found[name] = getattr(obs, name, found[name])
        return _decoded(obs, **found)

    def encode_ws_json(self, obs: Any) -> bytes:
        """Encode the `data` of OpenEnv's `/ws` observation frame."""
        shape, parts = self._parts(obs)
        if parts.metadata is not None:
            parts.data["metadata"] = parts.metadata
        return self._json(shape, parts)

    def encode_http_json(self, obs: Any) -> bytes:
        """Encode OpenEnv's HTTP body: the reward is a float or null, and metadata always there."""
        shape, parts = self._parts(obs)
        reward = parts.data["reward"]
        try:
            parts.data["reward"] = None if reward is None else float(reward)
            parts.data["done"] = bool(parts.data["done"])
        except BaseException as exc:
            raise UnencodableValue(
                f"observation.reward: cannot be a float: {safe_text(exc)}", path="observation.reward"
            ) from exc
        parts.data["metadata"] = parts.metadata
        return self._json(shape, parts)

    def decode_ws_json(self, data: Buffer | str) -> Decoded[T]:
        """Decode the `data` of an observation frame, of this server's or OpenEnv's."""
        return self.from_ws_builtins(encoding.decode_any_json(data))

    def from_ws_builtins(self, payload: Any) -> Decoded[T]:
        """Rebuild the observation from the parts that OpenEnv's frame holds."""
        if not isinstance(payload, dict):
            raise _not_an_object("", payload)
        body = payload.get("observation")
        body = {} if body is None else body
        if not isinstance(body, dict):
            raise _not_an_object(_ROOT, body)
        reward, done = payload.get("reward"), _flag(payload.get("done"))
        truncated = _flag(payload.get("truncated", body.get("truncated")))
        metadata = payload.get("metadata") or body.get("metadata")
        obs: Any = body
        if not self._untyped:
            values = {"reward": reward, "done": done, "truncated": truncated, "metadata": metadata}
            obs = self.model.from_builtins(body if self._fields is None else self._fields.completed(body, values))
        return Decoded(obs, reward, done, truncated, _filled(metadata))

    def _read_beside(self, data: Buffer) -> dict[str, Any]:
        try:
            beside = self._beside.decode(data)
        except msgspec.MsgspecError:
            # Keys that are not text: such an observation has nothing beside its fields.
            beside = _Beside()
        except BaseException as exc:
            # A malformed extension in a value that the class skipped.
            raise decode_errors.invalid(exc) from exc
        return {name: getattr(beside, name) for name in RESULT}

    def _parts(self, obs: Any) -> tuple[Shape, _Parts]:
        cls: Any = type(obs)
        shape = shape_of(cls)
        try:
            body, reward, done, truncated, metadata = shape.split(obs)
        except UnencodableValue:
            raise
        except BaseException as exc:
            # An author's property or serializer may raise anything.
            raise UnencodableValue(f"observation: {safe_text(exc)}", path=_ROOT) from exc
        if not isinstance(body, dict):
            raise no_object(type(obs))
        return shape, _Parts(body, reward, done, truncated, _filled(metadata))

    def _json(self, shape: Shape, parts: _Parts) -> bytes:
        return encoding.encode_dumped_json(parts.data) if shape.pydantic else encoding.encode_any_json(parts.data)


class _Parts:
    """The frame's `data` so far, and the metadata, which each form places differently."""

    __slots__ = ("data", "metadata")

    def __init__(self, body: dict[Any, Any], reward: Any, done: Any, truncated: Any, metadata: Any) -> None:
        self.data: dict[str, Any] = {"observation": body, "reward": reward, "done": done}
        truncated = _flag(truncated)
        if truncated is not False:
            self.data["truncated"] = truncated
        self.metadata = metadata


def _flag(value: Any) -> Any:
    """Return done or truncated as a bool; an array of them, one for each of several environments, stays one."""
    if value is True or value is False:
        return value
    return value if hasattr(value, "__len__") else bool(value)


def _filled(metadata: Any) -> Any:
    """Return metadata, or None where it is absent or an empty dict."""
    return None if isinstance(metadata, dict) and not metadata else metadata


def _not_an_object(path: str, value: Any) -> InvalidPayload:
    text = f"expected `object`, got `{type(value).__name__}`"
    where = f" at `{path}`" if path else ""
    loc = [path] if path else []
    return InvalidPayload(
        f"Invalid message: {text}{where}", path=path, errors=[{"type": "dict_type", "loc": loc, "msg": text}]
    )


_cache: dict[Any, ObservationCodec[Any]] = {}


@overload
def observation_codec_for(cls: None) -> ObservationCodec[Any]: ...
@overload
def observation_codec_for(cls: type[T] | None) -> ObservationCodec[T]: ...
def observation_codec_for(cls: Any) -> ObservationCodec[Any]:
    """Return the observation codec of a class, built once.

    Raises:
        UsageError: a codec cannot be made for the class; the text says why.
    """
    found = _cache.get(cls)
    return _cache.setdefault(cls, ObservationCodec(cls)) if found is None else found
