"""Turns a call into a call of the environment's method, and what the method returned into bytes.

`NATIVE` does so for this package's environments. `compat` has another adapter, for environments written for OpenEnv;
a `Blueprint` names the one to use. Adapters hold neither an environment nor state: `host` does, and calls them where
the environment lives, also in another process.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from openenv_async.codec import ModelCodec, ObservationCodec, codec_for
from openenv_async.errors import EnvError, EnvironmentFailed, FactoryError, InvalidPayload, UsageError
from openenv_async.runtime import calls
from openenv_async.runtime.calls import Call, CallKind, Outcome
from openenv_async.runtime.rendering import draw, drawn


class Accepts(NamedTuple):
    """The keyword arguments that a method takes."""

    names: frozenset[str]
    anything: bool


@functools.lru_cache(maxsize=1024)
def accepts(function: Callable[..., Any]) -> Accepts:
    """Inspect a plain function (a method's `__func__`), once per function."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature: let it judge for itself
        return Accepts(frozenset(), True)
    keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = frozenset(p.name for p in parameters if p.kind in keyword)
    return Accepts(names, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters))


def method_accepts(method: Callable[..., Any]) -> Accepts:
    """Inspect a bound method or any callable."""
    return accepts(getattr(method, "__func__", method))


def class_deadline(env: object) -> float | None:
    """Return the seconds that an environment's class allows a reset or step; None: it does not say.

    Raises:
        FactoryError: `step_timeout_s` is not a number above 0.
    """
    value = getattr(env, "step_timeout_s", None)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
        return value
    shown = repr(value) if type(value) in (bool, int, float, str) else type(value).__name__
    # NaN too: among the timers of the loop it would stop the whole server.
    raise FactoryError(
        f"{type(env).__name__}.step_timeout_s must be a number of seconds above 0, or None, not {shown:.40}"
    )


def fit_reset(method: Callable[..., Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the arguments that `reset` takes, and a warning for each standard one that it ignores.

    Raises:
        InvalidPayload: an argument of the caller's own that `reset` does not take, or a
            seed or episode_id of the wrong type.
    """
    _check_standard(arguments)
    taken = method_accepts(method)
    if taken.anything:
        return {key: value for key, value in arguments.items() if value is not None or key not in _STANDARD}, ()
    fitted: dict[str, Any] = {}
    warnings: list[str] = []
    for key, value in arguments.items():
        if key in taken.names and key != "self":
            fitted[key] = value
        elif key not in _STANDARD:
            known = ", ".join(sorted(taken.names - {"self"})) or "none"
            problem = {"type": "unexpected_argument", "loc": [key], "msg": f"reset() takes no argument {key!r}"}
            text = f"reset() takes no argument {key!r}; it takes: {known}"
            raise InvalidPayload(text, path=key, errors=[problem])
        elif value is not None:
            warnings.append(f"the environment ignores {key}: its reset() takes no such argument")
    return fitted, tuple(warnings)


_STANDARD = ("seed", "episode_id")


def _check_standard(arguments: dict[str, Any]) -> None:
    seed, episode_id = arguments.get("seed"), arguments.get("episode_id")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise _wrong("seed", "an integer of 0 or more", seed)
    if episode_id is not None and (not isinstance(episode_id, str) or len(episode_id) > 255):
        raise _wrong("episode_id", "text of 255 characters at most", episode_id)


def _wrong(name: str, wanted: str, got: object) -> InvalidPayload:
    text = f"{name} must be {wanted}, got {type(got).__name__}"
    return InvalidPayload(text, path=name, errors=[{"type": "value_error", "loc": [name], "msg": text}])


_ARGUMENTS: ModelCodec[Any] = codec_for(None)
_METADATA = _ARGUMENTS

Prepared = tuple[Callable[[], Any], tuple[str, ...]]
"""What to call, and warnings for the caller."""


class EnvironmentCodecs(Protocol):
    """The codecs of an environment's classes: its `Blueprint`."""

    @property
    def action(self) -> ModelCodec[Any]:
        """Reads actions."""

    @property
    def observation(self) -> ObservationCodec[Any]:
        """Writes observations."""

    @property
    def state(self) -> ModelCodec[Any]:
        """Writes states."""


class CallAdapter(Protocol):
    """How `Host` calls environments that are written in one particular way."""

    def is_async(self, env: Any) -> bool:
        """Return whether `step` of an environment, or of a class of them, is `async def`."""

    def is_coroutine(self, env: Any, kind: CallKind) -> bool:
        """Return whether the method behind a call is `async def`. Must not run it."""

    def prepare(self, codecs: EnvironmentCodecs, env: Any, call: Call) -> Prepared:
        """Read the call's bytes; returns what to call, and warnings.

        Raises:
            EnvError: the bytes do not fit.
        """

    def session(self, env: Any, call: Call) -> AbstractAsyncContextManager[Any] | None:
        """Return a context around an environment on the event loop, from its first step to its close; None: none.

        Args:
            env: the environment.
            call: its first step.
        """

    def transform(self, env: Any, call: Call) -> Callable[[Any], Any]:
        """Return what changes the method's result before it is written. Called where `env.transform` is not None."""

    def finish(self, codecs: EnvironmentCodecs, call: Call, value: Any, warnings: tuple[str, ...]) -> Outcome:
        """Write what the method returned.

        Raises:
            EnvError: it cannot be written.
        """

    def failure(self, exc: BaseException) -> EnvError | None:
        """Return this package's error for the environment's exception, if it is a known one."""


class NativeCallAdapter(CallAdapter):
    """For `openenv_async.Environment`."""

    def is_async(self, env: Any) -> bool:
        return inspect.iscoroutinefunction(getattr(env, "step", None))

    def is_coroutine(self, env: Any, kind: CallKind) -> bool:
        name = "get_metadata" if kind == "metadata" else kind
        # `state` is a property: looking it up on the instance would run it here.
        return kind != "state" and inspect.iscoroutinefunction(getattr(env, name, None))

    def prepare(self, codecs: EnvironmentCodecs, env: Any, call: Call) -> Prepared:
        if call.kind == "step":
            codec = codecs.action
            decode = codec.decode_msgpack if call.wire is calls.NATIVE else codec.decode_json
            action = decode(call.payload)
            # Inspected once per function: `call_adapter` remembers.
            if call.timeout_s is not None and "timeout_s" in method_accepts(env.step).names:
                return functools.partial(env.step, action, timeout_s=call.timeout_s), ()
            return functools.partial(env.step, action), ()
        if call.kind == "reset":
            arguments, warnings = fit_reset(env.reset, reset_arguments(call))
            return functools.partial(env.reset, **arguments), warnings
        if call.kind == "metadata":
            return env.get_metadata, ()
        if call.kind == "state":
            return lambda: read_state(env), ()
        if call.kind == "web":
            return functools.partial(draw, env, _ARGUMENTS.decode_json(call.payload)), ()
        raise UsageError(f"an environment of this package has no {call.kind} calls")

    def session(self, env: Any, call: Call) -> AbstractAsyncContextManager[Any] | None:
        return None

    def transform(self, env: Any, call: Call) -> Callable[[Any], Any]:
        transform: Callable[[Any], Any] = env.transform
        return transform if callable(transform) and call.kind in ("reset", "step") else _unchanged

    def finish(self, codecs: EnvironmentCodecs, call: Call, value: Any, warnings: tuple[str, ...]) -> Outcome:
        if call.kind in ("metadata", "web"):
            return Outcome(_METADATA.encode_json(drawn(value) if call.kind == "web" else value))
        if call.kind == "state":
            state = codecs.state
            value = {} if value is None else value
            return Outcome(state.encode_msgpack(value) if call.wire is calls.NATIVE else state.encode_json(value))
        if value is None:
            raise EnvironmentFailed(
                f"{call.kind}() returned None; it must return an observation", exception_type="TypeError"
            )
        codec = codecs.observation
        if call.wire is calls.NATIVE:
            return Outcome(codec.encode_native(value), warnings)
        if call.wire is calls.JSON:
            return Outcome(codec.encode_ws_json(value), warnings)
        return Outcome(codec.encode_http_json(value), warnings)

    def failure(self, exc: BaseException) -> EnvError | None:
        # Others, e.g. SessionLost, come from another server that the environment plays on.
        return exc if isinstance(exc, (InvalidPayload, EnvironmentFailed)) else None


def _unchanged(value: Any) -> Any:
    return value


NATIVE = NativeCallAdapter()


def reset_arguments(call: Call) -> dict[str, Any]:
    """Read the arguments of a reset.

    Raises:
        InvalidPayload: they are not a map of names.
    """
    decode = _ARGUMENTS.decode_msgpack if call.wire is calls.NATIVE else _ARGUMENTS.decode_json
    arguments = decode(call.payload)
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise InvalidPayload("the arguments of reset must be a map with text keys")
    return arguments


def read_state(env: Any) -> Any:
    """Return an environment's state, which some authors write as a method. Runs the author's code."""
    state = env.state
    return state() if inspect.ismethod(state) else state
