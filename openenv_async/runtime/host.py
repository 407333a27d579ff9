"""One environment, wherever it lives: bytes in, the environment's method, bytes out.

Owns the instance: building it, calling it, closing it exactly once, and turning what it raises into this package's
errors. An executor decides where that runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
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


class CallClosed(asyncio.CancelledError):
    """Thrown into a call that has begun and that nothing will continue."""


class Host:
    """One environment of one session."""

    def __init__(self, blueprint: Blueprint, session_id: str) -> None:
        self._blueprint = blueprint
        self._adapter = blueprint.adapter
        self._session_id = session_id
        self.step_timeout_s: float | None = None
        """What the environment's class allows for a call, in seconds."""
        self._env: Any = None
        self._coroutines: dict[CallKind, bool] = {}
        self._entered = False
        """The context that the adapter has around the first step, if any, was entered."""
        self._contexts = contextlib.AsyncExitStack()
        self._runner: asyncio.Runner | None = None
        self._running: asyncio.Task[Any] | None = None
        self._interrupted = False

    @property
    def is_async(self) -> bool:
        """Whether `step` is `async def`."""
        return bool(self._blueprint.is_async(self._env))

    @property
    def environment(self) -> object:
        """The environment, or None before `create()` and after its close. To be inspected, not called."""
        return self._env

    def create(self) -> None:
        """Build the environment. Runs the author's code.

        Raises:
            FactoryError: the factory raised, or returned what is not an environment, belongs to another
                session, or has a deadline that is not a number above 0.
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

    def call(self, call: Call, offload: Offload | None = None) -> Outcome | Coroutine[Any, Any, Outcome]:
        """Make one call.

        Args:
            call: what to do.
            offload: runs plain `def` methods, which otherwise run here and now.

        Returns:
            The outcome; where something has to be awaited for it, a coroutine that returns the outcome.

        Raises:
            EnvError: anything that went wrong; the environment is as it left itself. The coroutine raises it too.
        """
        env, adapter, kind = self._env, self._adapter, call.kind
        if env is None:
            raise EnvironmentFailed("the environment is closed", exception_type="RuntimeError")
        function, warnings = adapter.prepare(self._blueprint, env, call)
        try:
            if offload is not None and not (self._coroutines.get(kind) or self._is_coroutine(kind)):
                function = functools.partial(_offloaded, offload, function)
            if not self._entered and kind in ("step", "mcp"):
                function = self._entering(call, function)
            value = function()
            if type(value) is CoroutineType or inspect.isawaitable(value):
                return self._finish(call, value, warnings, offload)
            if getattr(env, "transform", None) is not None:
                value = adapter.transform(env, call)(value)
        except BaseException as exc:  # SystemExit and KeyboardInterrupt of an environment must not end the server
            raise self._failed(call, exc) from exc
        return adapter.finish(self._blueprint, call, value, warnings)

    async def _finish(
        self, call: Call, work: Awaitable[Any], warnings: tuple[str, ...], offload: Offload | None
    ) -> Outcome:
        try:
            value = await work
            if getattr(self._env, "transform", None) is not None:
                transform = functools.partial(self._adapter.transform(self._env, call), value)
                value = transform() if offload is None else await offload(transform)
        except BaseException as exc:  # as in `call`
            if _is_ours(exc):
                raise
            raise self._failed(call, exc) from exc
        return self._adapter.finish(self._blueprint, call, value, warnings)

    def _entering(self, call: Call, function: Callable[[], Any]) -> Callable[[], Any]:
        """Return `function` within the adapter's context around the environment, where there is one."""
        self._entered = True
        context = self._adapter.session(self._env, call)
        if context is None:
            return function

        async def entered() -> Any:
            await self._contexts.enter_async_context(context)
            value = function()
            return await value if inspect.isawaitable(value) else value

        return entered

    def _is_coroutine(self, kind: CallKind) -> bool:
        """Whether the method behind a call is `async def`; found out once per environment."""
        known = self._coroutines.get(kind)
        if known is None:
            known = self._coroutines[kind] = self._adapter.is_coroutine(self._env, kind)
        return known

    def call_blocking(self, call: Call) -> Outcome:
        """Make one call in this thread; what has to be awaited runs on an event loop of the environment's own.

        Raises:
            EnvError: as `call`.
        """
        # No context around the steps: this event loop runs only during a call.
        self._entered = True
        work = self.call(call)
        if isinstance(work, Outcome):
            return work
        try:
            return self._run(work)
        except asyncio.CancelledError as exc:
            if self._interrupted:
                raise EnvironmentFailed("the call was cancelled", exception_type="CancelledError") from None
            raise self._failed(call, exc) from exc

    async def close(self, offload: Offload | None) -> None:
        """Run the environment's `close()` on the event loop, once; what it raises is logged."""
        try:
            await self._contexts.aclose()
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
        except BaseException as exc:  # as in `call`
            if _is_ours(exc):
                raise
            self._log_close(exc)

    def close_blocking(self) -> None:
        """Run the environment's `close()` in this thread, once; what it raises is logged."""
        close = self._take_close()
        try:
            value = None if close is None else close()
            if inspect.isawaitable(value):
                self._run(value)
        except BaseException as exc:  # as in `call`
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

    def _run(self, work: Awaitable[T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._interruptible(work))

    async def _interruptible(self, work: Awaitable[T]) -> T:
        self._interrupted = False
        self._running = asyncio.current_task()
        try:
            return await work
        finally:
            self._running = None

    def interrupt(self) -> bool:
        """Cancel the coroutine that `call_blocking` runs, from any thread; returns False when there is none."""
        task = self._running
        if task is None:
            return False
        self._interrupted = True
        try:
            task.get_loop().call_soon_threadsafe(task.cancel)
        except RuntimeError:  # it has ended meanwhile, and its loop with it
            return False
        return True

    def _failed(self, call: Call, exc: BaseException) -> EnvError:
        """Return the caller's error for what the environment raised, and log it."""
        known = self._adapter.failure(exc)
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
        details = self._details(exc, error_id)
        return EnvironmentFailed(safe_text(exc) or type(exc).__name__, **details)

    def _factory_error(self, exc: BaseException) -> FactoryError:
        name, error_id = self._blueprint.factory_name, new_error_id()
        logger.error("the factory %s raised [error %s]", name, error_id, exc_info=(type(exc), exc, exc.__traceback__))
        details = self._details(exc, error_id)
        return FactoryError(f"Environment factory '{name}' failed to create instance.", factory_name=name, **details)

    def _details(self, exc: BaseException, error_id: str) -> dict[str, Any]:
        details: dict[str, Any] = {"exception_type": type(exc).__name__, "error_id": error_id}
        if self._blueprint.debug:
            details["traceback"] = _traceback(exc)
        return details

    def _log_close(self, exc: BaseException) -> None:
        info = (type(exc), exc, exc.__traceback__)
        logger.error("close() of session %s raised", self._session_id, exc_info=info, extra=about(self._session_id))


async def _offloaded(offload: Offload, function: Callable[[], Any]) -> Any:
    value = await offload(function)
    return await value if inspect.isawaitable(value) else value


def _is_ours(exc: BaseException) -> bool:
    """Whether this package cancels the current task; any other CancelledError is one that the environment raised."""
    if not isinstance(exc, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return isinstance(exc, CallClosed) or (task is not None and task.cancelling() > 0)


def _traceback(exc: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except BaseException:  # an author's __str__ may raise anything
        return f"<no traceback: the text of {type(exc).__name__} cannot be printed>"
