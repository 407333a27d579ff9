"""Observations: one object of the author's, three shapes on the wires.

Owns where reward, done, truncated and metadata go. The native wire carries the
object whole; OpenEnv's two JSON forms take reward and done out of it, and so must
whoever reads them put these back. `shapes` knows each class's fields, `models`
how its values become bytes.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

import msgspec

from openenv_async.codec import encoding, failures, shapes
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.ext import ext_hook
from openenv_async.codec.factory import codec_for
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.texts import safe_text
from openenv_async.codec.untyped import is_untyped
from openenv_async.errors import InvalidPayload, UnencodableValue

T = TypeVar("T")

_ROOT = "observation"


class Decoded(msgspec.Struct, Generic[T]):
    """An observation off the wire, and what the trainer's `StepResult` shows of it."""

    observation: T
    reward: Any
    done: bool
    truncated: bool
    metadata: dict[str, Any] | None
    """None where it is absent or empty."""


class _Beside(msgspec.Struct):
    """What an observation carries that the reader's class has no field for."""

    reward: Any = None
    done: Any = False
    truncated: Any = False
    metadata: Any = None


class ObservationCodec(Generic[T]):
    """Turns observations into bytes and back. Built once per class by `observation_codec_for`.

    Encoding takes any object with fields, whatever the declared class; what it has goes.
    """

    def __init__(self, cls: Any) -> None:
        """Look at the class's fields once.

        Raises:
            UsageError: no codec can be made of the class.
        """
        self.model: ModelCodec[T] = codec_for(cls, ignore_unknown=True)
        self._untyped = is_untyped(cls)
        self._fields = shapes.declared(cls)
        self._beside = msgspec.msgpack.Decoder(_Beside, ext_hook=ext_hook)
        self._written: type | None = None
        """The class that was encoded last, and was found to have a shape."""
        self._complete = self._fields is not None and self._fields.attributes.issuperset(shapes.RESULT)

    def encode_native(self, obs: Any) -> bytes:
        """Encode the whole observation as one msgpack value."""
        cls: Any = type(obs)
        if cls is not self._written:
            shapes.shape_of(cls)
            self._written = cls
        return encoding.encode_any_msgpack(obs, _ROOT)

    def decode_native(self, data: Buffer) -> Decoded[T]:
        """Decode what `encode_native` wrote; for an untyped reader reward, done and truncated leave the dict."""
        obs: Any = self.model.decode_msgpack(data)
        if self._complete:
            # At every step; almost always these are bools and the metadata is empty.
            done, truncated, metadata = obs.done, obs.truncated, obs.metadata
            if done is not False and done is not True:
                done = _flag(done)
            if truncated is not False and truncated is not True:
                truncated = _flag(truncated)
            if type(metadata) is dict and not metadata:
                return Decoded(obs, obs.reward, done, truncated, None)
            return Decoded(obs, obs.reward, done, truncated, _filled(metadata))
        if self._untyped:
            return self._of_dict(obs)
        found = self._read_beside(data)
        if not isinstance(obs, dict):
            for name in found:
                found[name] = getattr(obs, name, found[name])
        return Decoded(
            obs, found["reward"], _flag(found["done"]), _flag(found["truncated"]), _filled(found["metadata"])
        )

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

    def _of_dict(self, obs: Any) -> Decoded[T]:
        if not isinstance(obs, dict):
            return Decoded(obs, None, False, False, None)
        rest: Any = obs
        take = obs.pop
        reward, done, truncated = take("reward", None), take("done", False), take("truncated", False)
        metadata = obs.get("metadata")
        return Decoded(rest, reward, _flag(done), _flag(truncated), None if metadata is None else _filled(metadata))

    def _read_beside(self, data: Buffer) -> dict[str, Any]:
        try:
            beside = self._beside.decode(data)
        except msgspec.MsgspecError:
            # Keys that are no text: such an observation has nothing beside its fields.
            beside = _Beside()
        except BaseException as exc:
            # A malformed extension in what the class itself skipped.
            raise failures.invalid(exc) from exc
        return {name: getattr(beside, name) for name in shapes.RESULT}

    def _parts(self, obs: Any) -> tuple[shapes.Shape, _Parts]:
        cls: Any = type(obs)
        shape = shapes.shape_of(cls)
        try:
            body, reward, done, truncated, metadata = shape.split(obs)
        except UnencodableValue:
            raise
        except BaseException as exc:
            # A property or serializer of the author's may raise anything.
            raise UnencodableValue(f"observation: {safe_text(exc)}", path=_ROOT) from exc
        if not isinstance(body, dict):
            raise shapes.no_object(type(obs))
        return shape, _Parts(body, reward, done, truncated, _filled(metadata))

    def _json(self, shape: shapes.Shape, parts: _Parts) -> bytes:
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
    """Give done or truncated as a bool; an array of them, one for each of several environments, stays one."""
    if value is True or value is False:
        return value
    return value if hasattr(value, "__len__") else bool(value)


def _filled(metadata: Any) -> Any:
    """Give metadata, or None where it is absent or an empty dict."""
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
    """Give the observation codec of a class, built once.

    Raises:
        UsageError: no codec can be made of the class; the text says why.
    """
    found = _cache.get(cls)
    return _cache.setdefault(cls, ObservationCodec(cls)) if found is None else found
