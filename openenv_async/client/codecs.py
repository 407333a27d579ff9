"""Values of a client: its codecs, found in `class AsyncMyEnv(AsyncEnv[Act, Obs, State])`, and OpenEnv's JSON form."""

from __future__ import annotations

import typing
from typing import Any, NamedTuple, TypeVar

from openenv_async.codec import Decoded, ModelCodec, ObservationCodec, codec_for, observation_codec_for
from openenv_async.results import StepResult

PLAIN: ModelCodec[Any] = codec_for(None)
_PLAIN_OBSERVATION: ObservationCodec[Any] = observation_codec_for(None)


class ClientCodecs(NamedTuple):
    """The codecs of one client class."""

    action: ModelCodec[Any]
    observation: ObservationCodec[Any]
    state: ModelCodec[Any]


def codecs_for(arguments: tuple[Any, ...]) -> ClientCodecs:
    """Return the codecs for (action, observation, state) classes; a missing or free one is untyped."""
    classes = [None if argument is Any or isinstance(argument, TypeVar) else argument for argument in arguments]
    action, observation, state = (classes + [None, None, None])[:3]
    return ClientCodecs(codec_for(action), observation_codec_for(observation), codec_for(state))


def type_arguments(cls: type[Any], generic: type[Any]) -> tuple[Any, ...]:
    """Return what `cls` puts into the brackets of `generic`, itself or through generic bases, or nothing."""
    for base in getattr(cls, "__orig_bases__", ()):
        origin, arguments = typing.get_origin(base), typing.get_args(base)
        if origin is generic:
            return arguments
        if isinstance(origin, type) and issubclass(origin, generic):
            given = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
            return tuple(_filled(inner, given) for inner in type_arguments(origin, generic))
    return ()


def _filled(argument: Any, given: dict[Any, Any]) -> Any:
    if argument in given:
        return given[argument]
    parameters = getattr(argument, "__parameters__", ())
    return argument[tuple(given.get(one, one) for one in parameters)] if parameters else argument


def result_of(decoded: Decoded[Any]) -> StepResult[Any]:
    """Return the trainer's form of a decoded observation."""
    return StepResult(decoded.observation, decoded.reward, decoded.done, decoded.metadata, decoded.truncated)


def as_openenv(native: bool, data: bytes) -> dict[str, Any]:
    """Return an observation in the form that OpenEnv's `_parse_result` takes, whichever wire it came by."""
    if not native:
        payload: dict[str, Any] = PLAIN.decode_json(data)
        return payload
    decoded = _PLAIN_OBSERVATION.decode_native(data)
    payload = {"observation": decoded.observation, "reward": decoded.reward, "done": decoded.done}
    if decoded.metadata:
        payload["metadata"] = decoded.metadata
    return payload
