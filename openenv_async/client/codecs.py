"""What a typed client knows from its base's brackets: `class AsyncMyEnv(AsyncEnv[Act, Obs, State])`."""

from __future__ import annotations

import typing
from typing import Any, NamedTuple, TypeVar

from openenv_async.codec import ModelCodec, ObservationCodec, codec_for, observation_codec_for


class Codecs(NamedTuple):
    """The coders of one client class."""

    action: ModelCodec[Any]
    observation: ObservationCodec[Any]
    state: ModelCodec[Any]


def codecs_for(arguments: tuple[Any, ...]) -> Codecs:
    """Make the coders for (action, observation, state) classes; a missing or free one is untyped."""
    classes = [None if argument is Any or isinstance(argument, TypeVar) else argument for argument in arguments]
    action, observation, state = (classes + [None, None, None])[:3]
    return Codecs(codec_for(action), observation_codec_for(observation), codec_for(state))


def type_arguments(cls: type[Any], generic: type[Any]) -> tuple[Any, ...]:
    """Give what `cls` puts into the brackets of `generic`, itself or through generic bases, or nothing."""
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
