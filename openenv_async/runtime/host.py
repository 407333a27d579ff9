"""The holder of one environment, wherever it lives: bytes in, the environment's method, bytes out.

Owns the instance and everything that touches it: building, calling, closing exactly
once, and turning whatever it raises into errors of ours. Does not decide where it
runs: an executor calls `perform` on the event loop or `perform_blocking` in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any, TypeVar

from openenv_async.codec import ModelCodec, codec_for
from openenv_async.errors import EnvError, EnvironmentFailed, FactoryError, InvalidPayload
from openenv_async.protocol.failures import new_error_id, safe_text
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.calls import Call, CallKind, Outcome, Wire
from openenv_async.runtime.offload import Offload
from openenv_async.runtime.signatures import fit_reset, method_accepts

logger = logging.getLogger("openenv_async")

T = TypeVar("T")
_ARGUMENTS: ModelCodec[Any] = codec_for(None)
_METADATA = _ARGUMENTS


class Host:
    """One environment of one session."""

    def __init__(self, blueprint: Blueprint, session_id: str) -> None:
        self._blueprint = blueprint
        self._session_id = session_id
        self._env: Any = None
        self._runner: asyncio.Runner | None = None
        self._coroutine: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._step_takes_timeout = False
        self._coroutines: dict[CallKind, bool] = {}

    @property
    def is_async(self) -> bool:
        """Whether `step` is `async def`."""
        return bool(self._blueprint.is_async(self._env))

    @property
    def environment(self) -> object:
        """The environment, or None before `create()` and after its close. To be looked at, not called."""
        return self._env

    @property
    def step_timeout_s(self) -> float | None:
        """What the environment's class says a call may take, in seconds."""
        value = getattr(self._env, "step_timeout_s", None)
        return value if isinstance(value, (int, float)) else None

    def create(self) -> None:
        """Build the environment. Runs the author's code.

        Raises:
            FactoryError: the factory raised, gave no environment, or one that another session has.
        """
        name = self._blueprint.factory_name
        try:
            env = self._blueprint.factory()
            playable = callable(getattr(env, "reset", None)) and callable(getattr(env, "step", None))
        except BaseException as exc:
            raise self._factory_error(exc) from exc
        if not playable:
            raise FactoryError(
                f"the factory {name!r} returned {type(env).__name__}, which has no reset() and step()",
                factory_name=name,
            )
        self._blueprint.identities.claim(env, name)
        self._env = env
        self._step_takes_timeout = "timeout_s" in method_accepts(env.step).names

    async def perform(self, call: Call, offload: Offload | None) -> Outcome:
        """Do one call on the event loop; with `offload`, only `async def` methods run on it.

        Raises:
            EnvError: anything that went wrong; the environment is as it left itself.
        """
        function, warnings = self._prepare(call)
        try:
            if offload is None or self._is_coroutine(call.kind):
                value = function()
            else:
                value = await offload(function)
            if type(value) is CoroutineType or inspect.isawaitable(value):
                value = await value
            transform = self._transform(call)
            if transform is not None:
                value = transform(value) if offload is None else await offload(lambda: transform(value))
        except asyncio.CancelledError as exc:
            if _is_cancelled():
                raise
            raise self._failed(call, exc) from exc
        except BaseException as exc:  # SystemExit and KeyboardInterrupt of an environment must not end the server
            raise self._failed(call, exc) from exc
        return self._finish(call, value, warnings)

    def _is_coroutine(self, kind: CallKind) -> bool:
        """Say whether the method behind a call is `async def`; found out once per environment."""
        known = self._coroutines.get(kind)
        if known is None:
            name = "get_metadata" if kind == "metadata" else kind
            # `state` is a property: looking it up on the instance would run it here.
            known = kind != "state" and inspect.iscoroutinefunction(getattr(self._env, name, None))
            self._coroutines[kind] = known
        return known

    def perform_blocking(self, call: Call) -> Outcome:
        """Do one call in this thread; coroutines run on an event loop of the environment's own.

        Raises:
            EnvError: as `perform`.
        """
        function, warnings = self._prepare(call)
        try:
            value = self._settle(function())
            transform = self._transform(call)
            if transform is not None:
                value = transform(value)
        except BaseException as exc:  # as above
            if self._interrupted and isinstance(exc, asyncio.CancelledError):
                raise EnvironmentFailed("the call was cancelled", exception_type="CancelledError") from None
            raise self._failed(call, exc) from exc
        return self._finish(call, value, warnings)

    async def close(self, offload: Offload | None) -> None:
        """Run the environment's `close()` on the event loop, once; what it raises is logged."""
        close = self._take_close()
        if close is None:
            return
        try:
            if offload is None or inspect.iscoroutinefunction(close):
                value = close()
            else:
                value = await offload(close)
            if inspect.isawaitable(value):
                await value
        except asyncio.CancelledError as exc:
            if _is_cancelled():
                raise
            self._log_close(exc)
        except BaseException as exc:  # as above
            self._log_close(exc)

    def close_blocking(self) -> None:
        """Run the environment's `close()` in this thread, once; what it raises is logged."""
        close = self._take_close()
        try:
            if close is not None:
                self._settle(close())
        except BaseException as exc:  # as above
            self._log_close(exc)
        finally:
            if self._runner is not None:
                self._runner.close()

    def _take_close(self) -> Callable[[], Any] | None:
        env, self._env = self._env, None
        if env is None:
            return None
        self._blueprint.identities.release(env)
        close = getattr(env, "close", None)
        return close if callable(close) else None

    def _settle(self, value: Any) -> Any:
        if not inspect.isawaitable(value):
            return value
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._wait_for(value))

    async def _wait_for(self, value: Awaitable[T]) -> T:
        self._interrupted = False
        self._coroutine = asyncio.current_task()
        try:
            return await value
        finally:
            self._coroutine = None

    def interrupt(self) -> bool:
        """Cancel the coroutine that `perform_blocking` runs, from any thread; False when there is none."""
        task = self._coroutine
        if task is None:
            return False
        self._interrupted = True
        try:
            task.get_loop().call_soon_threadsafe(task.cancel)
        except RuntimeError:  # it has ended meanwhile, and its loop with it
            return False
        return True

    def _transform(self, call: Call) -> Callable[[Any], Any] | None:
        transform = getattr(self._env, "transform", None)
        return transform if callable(transform) and call.kind in ("reset", "step") else None

    def _prepare(self, call: Call) -> tuple[Callable[[], Any], tuple[str, ...]]:
        env = self._env
        if env is None:
            raise EnvironmentFailed("the environment is closed", exception_type="RuntimeError")
        if call.kind == "step":
            codec = self._blueprint.action
            action = codec.decode_msgpack(call.payload) if call.wire is Wire.NATIVE else codec.decode_json(call.payload)
            if self._step_takes_timeout and call.timeout_s is not None:
                return functools.partial(env.step, action, timeout_s=call.timeout_s), ()
            return functools.partial(env.step, action), ()
        if call.kind == "reset":
            arguments, warnings = fit_reset(env.reset, self._reset_arguments(call))
            return functools.partial(env.reset, **arguments), warnings
        if call.kind == "metadata":
            return env.get_metadata, ()
        return lambda: _read_state(env), ()

    def _reset_arguments(self, call: Call) -> dict[str, Any]:
        decode = _ARGUMENTS.decode_msgpack if call.wire is Wire.NATIVE else _ARGUMENTS.decode_json
        arguments = decode(call.payload)
        if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
            raise InvalidPayload("the arguments of reset must be a map with text keys")
        return arguments

    def _finish(self, call: Call, value: Any, warnings: tuple[str, ...]) -> Outcome:
        if call.kind == "metadata":
            return Outcome(_METADATA.encode_json(value))
        if call.kind == "state":
            state = self._blueprint.state
            value = {} if value is None else value
            return Outcome(state.encode_msgpack(value) if call.wire is Wire.NATIVE else state.encode_json(value))
        if value is None:
            raise EnvironmentFailed(
                f"{call.kind}() returned None; it must return an observation", exception_type="TypeError"
            )
        codec = self._blueprint.observation
        if call.wire is Wire.NATIVE:
            return Outcome(codec.encode_native(value), warnings)
        if call.wire is Wire.JSON:
            return Outcome(codec.encode_ws_json(value), warnings)
        return Outcome(codec.encode_http_json(value), warnings)

    def _failed(self, call: Call, exc: BaseException) -> EnvError:
        # Others of ours belong to another server that the environment plays on: SessionLost is not this session's.
        if isinstance(exc, (InvalidPayload, EnvironmentFailed)):
            return exc
        error_id = new_error_id()
        logger.error(
            "%s() of session %s raised [error %s]",
            call.kind,
            self._session_id,
            error_id,
            exc_info=(type(exc), exc, exc.__traceback__),
        )
        details: dict[str, Any] = {"exception_type": type(exc).__name__, "error_id": error_id}
        if self._blueprint.debug:
            details["traceback"] = _traceback(exc)
        return EnvironmentFailed(safe_text(exc) or type(exc).__name__, **details)

    def _factory_error(self, exc: BaseException) -> FactoryError:
        name, error_id = self._blueprint.factory_name, new_error_id()
        logger.error("the factory %s raised [error %s]", name, error_id, exc_info=(type(exc), exc, exc.__traceback__))
        details: dict[str, Any] = {"factory_name": name, "exception_type": type(exc).__name__, "error_id": error_id}
        if self._blueprint.debug:
            details["traceback"] = _traceback(exc)
        return FactoryError(f"Environment factory '{name}' failed to create instance.", **details)

    def _log_close(self, exc: BaseException) -> None:
        info = (type(exc), exc, exc.__traceback__)
        logger.error("close() of session %s raised", self._session_id, exc_info=info)


def _is_cancelled() -> bool:
    """Say whether somebody cancels this task; else a CancelledError is only what an environment raised."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _read_state(env: Any) -> Any:
    state = env.state
    return state() if inspect.ismethod(state) else state


def _traceback(exc: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except BaseException:  # an author's __str__ may raise anything
        return f"<no traceback: the text of {type(exc).__name__} cannot be printed>"
