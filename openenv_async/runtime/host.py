"""The holder of one environment, wherever it lives: bytes in, the environment's method, bytes out.

Owns the instance and everything that touches it: building, calling, closing exactly
once, and turning whatever it raises into errors of ours. Does not decide where it
runs: an executor calls `perform` on the event loop or `perform_blocking` in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import Any, TypeVar

from openenv_async.errors import EnvError, EnvironmentFailed, FactoryError
from openenv_async.protocol.error_mapping import new_error_id, safe_text
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.call_adapter import class_deadline
from openenv_async.runtime.calls import Call, CallKind, Outcome
from openenv_async.runtime.current_session import about
from openenv_async.runtime.executors.offload import Offload

logger = logging.getLogger("openenv_async")

T = TypeVar("T")


class Host:
    """One environment of one session."""

    def __init__(self, blueprint: Blueprint, session_id: str) -> None:
        self._blueprint = blueprint
        self._conventions = blueprint.conventions
        self._session_id = session_id
        self.step_timeout_s: float | None = None
        """What the environment's class says a call may take, in seconds."""
        self._env: Any = None
        self._runner: asyncio.Runner | None = None
        self._coroutine: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._coroutines: dict[CallKind, bool] = {}
        self._held: contextlib.AsyncExitStack | None = None

    @property
    def is_async(self) -> bool:
        """Whether `step` is `async def`."""
        return bool(self._blueprint.is_async(self._env))

    @property
    def environment(self) -> object:
        """The environment, or None before `create()` and after its close. To be looked at, not called."""
        return self._env

    def create(self) -> None:
        """Build the environment. Runs the author's code.

        Raises:
            FactoryError: the factory raised, gave no environment, one that another session has, or one
                whose deadline makes no sense.
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
        try:
            self.step_timeout_s = class_deadline(env)
        except FactoryError:
            self.close_blocking()
            raise

    def begin(self, call: Call) -> tuple[Coroutine[Any, Any, Any], tuple[str, ...]] | None:
        """Give the coroutine of a call that needs nothing around it, and warnings; None: it takes `perform`.

        Whoever drives it takes what it returns to `finish` and what it raises to `failed`.

        Raises:
            EnvError: the call's bytes do not fit.
        """
        env = self._env
        if env is None or self._held is None or not self._coroutines.get(call.kind):
            return None
        if self._conventions.transform(env, call) is not None:
            return None
        function, warnings = self._conventions.prepare(self._blueprint, env, call)
        try:
            coroutine = function()
        except BaseException as exc:  # a method that only looks like a coroutine
            raise self.failed(call, exc) from exc
        if type(coroutine) is CoroutineType:
            return coroutine, warnings
        return self._settled(coroutine), warnings

    async def _settled(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    async def go_on(self, call: Call, work: Awaitable[Any], warnings: tuple[str, ...]) -> Outcome:
        """Do the rest of a call that `begin` began; `work` is what is left of its coroutine."""
        try:
            value = await work
        except BaseException as exc:  # as in perform
            if _is_others(exc):
                raise
            raise self.failed(call, exc) from exc
        return self.finish(call, value, warnings)

    def finish(self, call: Call, value: Any, warnings: tuple[str, ...]) -> Outcome:
        """Write what the environment's method gave.

        Raises:
            EnvError: it cannot be written.
        """
        return self._conventions.finish(self._blueprint, call, value, warnings)

    async def perform(self, call: Call, offload: Offload | None) -> Outcome:
        """Do one call on the event loop; with `offload`, only `async def` methods run on it.

        Raises:
            EnvError: anything that went wrong; the environment is as it left itself.
        """
        function, warnings = self._prepare(call)
        try:
            if self._held is None and call.kind in ("step", "mcp"):
                await self._hold(call)
            if offload is None or self._is_coroutine(call.kind):
                value = function()
            else:
                value = await offload(function)
            if type(value) is CoroutineType or inspect.isawaitable(value):
                value = await value
            transform = self._conventions.transform(self._env, call)
            if transform is not None:
                value = transform(value) if offload is None else await offload(lambda: transform(value))
        except BaseException as exc:  # SystemExit and KeyboardInterrupt of an environment must not end the server
            if _is_others(exc):
                raise
            raise self.failed(call, exc) from exc
        return self.finish(call, value, warnings)

    async def _hold(self, call: Call) -> None:
        self._held = contextlib.AsyncExitStack()
        opening = self._conventions.session(self._env, call)
        if opening is not None:
            await self._held.enter_async_context(opening)

    def _is_coroutine(self, kind: CallKind) -> bool:
        """Say whether the method behind a call is `async def`; found out once per environment."""
        known = self._coroutines.get(kind)
        if known is None:
            known = self._coroutines[kind] = self._conventions.is_coroutine(self._env, kind)
        return known

    def perform_blocking(self, call: Call) -> Outcome:
        """Do one call in this thread; coroutines run on an event loop of the environment's own.

        Raises:
            EnvError: as `perform`.
        """
        function, warnings = self._prepare(call)
        try:
            value = self._settle(function())
            transform = self._conventions.transform(self._env, call)
            if transform is not None:
                value = transform(value)
        except BaseException as exc:  # as above
            if self._interrupted and isinstance(exc, asyncio.CancelledError):
                raise EnvironmentFailed("the call was cancelled", exception_type="CancelledError") from None
            raise self.failed(call, exc) from exc
        return self.finish(call, value, warnings)

    async def close(self, offload: Offload | None) -> None:
        """Run the environment's `close()` on the event loop, once; what it raises is logged."""
        if self._held is not None:
            try:
                await self._held.aclose()
            except BaseException as exc:  # as below
                self._log_close(exc)
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
        except BaseException as exc:  # as above
            if _is_others(exc):
                raise
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

    def _prepare(self, call: Call) -> tuple[Callable[[], Any], tuple[str, ...]]:
        if self._env is None:
            raise EnvironmentFailed("the environment is closed", exception_type="RuntimeError")
        return self._conventions.prepare(self._blueprint, self._env, call)

    def failed(self, call: Call, exc: BaseException) -> EnvError:
        """Make the caller's error of what the environment raised, and log it."""
        known = self._conventions.failure(exc)
        if known is not None:
            return known
        error_id = new_error_id()
        logger.error(
            "%s() of session %s raised [error %s]",
            call.kind,
            self._session_id,
            error_id,
            exc_info=(type(exc), exc, exc.__traceback__),
            extra=about(self._session_id, event="environment_raised", call=call.kind, error_id=error_id),
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
        logger.error("close() of session %s raised", self._session_id, exc_info=info, extra=about(self._session_id))


def _is_others(exc: BaseException) -> bool:
    """Say whether somebody cancels this task; else a CancelledError too is only what an environment raised."""
    task = asyncio.current_task() if isinstance(exc, asyncio.CancelledError) else None
    return task is not None and task.cancelling() > 0


def _traceback(exc: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except BaseException:  # an author's __str__ may raise anything
        return f"<no traceback: the text of {type(exc).__name__} cannot be printed>"
