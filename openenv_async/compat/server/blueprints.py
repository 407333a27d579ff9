"""Blueprints of the environments that OpenEnv's `create_app` is given: factory, codecs and threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from openenv_async.codec import ModelCodec, ObservationCodec, codec_for, observation_codec_for
from openenv_async.compat.server.call_adapter import CALL_ADAPTER
from openenv_async.compat.server.serialization import Buffer, deserialize_action, invalid, loads, not_a_dict
from openenv_async.environment import Execution
from openenv_async.errors import UsageError
from openenv_async.runtime.blueprint import Blueprint, Identities
from openenv_async.runtime.threads import OnResult, PinnedThread, completions

_PLAIN: ModelCodec[Any] = codec_for(None)

logger = logging.getLogger("openenv_async.compat")


class ActionCodec(ModelCodec[Any]):
    """Reads actions as OpenEnv does: by `model_validate`, tool actions by their type."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls

    def decode_msgpack(self, data: Buffer) -> Any:
        return self.from_builtins(_PLAIN.decode_msgpack(data))

    def decode_json(self, data: Buffer | str) -> Any:
        return self.from_builtins(loads(data))

    def from_builtins(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise not_a_dict(value, "data")
        try:
            return deserialize_action(value, self.cls)
        except ValidationError as exc:
            raise invalid(exc) from exc

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self.cls.model_json_schema()
        return schema


def observations_of(cls: Any) -> ObservationCodec[Any]:
    """Return the codec of an observation class for the native wire; plain values for a class it cannot read."""
    try:
        return observation_codec_for(cls)
    except UsageError:
        return observation_codec_for(None)


def values_of(cls: Any) -> ModelCodec[Any]:
    """Return the codec of a state class; plain values for a class it cannot read."""
    try:
        return codec_for(cls)
    except UsageError:
        return _PLAIN


@dataclass(frozen=True, kw_only=True)
class OpenEnvBlueprint(Blueprint):
    """A `Blueprint` that names its factory as OpenEnv does in its errors."""

    @property
    def factory_name(self) -> str:
        return getattr(self.factory, "__name__", str(self.factory))


class Shareable(Identities):
    """Lets sessions share an environment object, as OpenEnv does, with one warning."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def claim(self, env: object, factory_name: str) -> None:
        with self._lock:
            known = self._seen.get(id(env))
            if known is None or known() is not env:
                self._seen[id(env)] = self._reference(env)
                return
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "the factory %r returned one %s object to two sessions: they share the environment, and the first "
                "that ends closes it. Pass the class, or a function that builds a new one at each call.",
                factory_name,
                type(env).__name__,
            )


class SharedThread(PinnedThread):
    """One thread for many sessions, each on its own event loop: a session does not end it."""

    def send(self, on_result: OnResult, function: Callable[..., Any], *args: Any, in_turn: bool = False) -> None:
        # The event loop is the running one; `in_turn` means nothing for a single thread.
        self._jobs.append((completions(), on_result, function, args))
        self.wake()

    def stop(self) -> None:
        """Do nothing: other sessions may use the thread."""

    def end(self) -> None:
        """End the thread after the work that is queued."""
        super().stop()


class OneThread:
    """Puts every session on the same thread: `REQUIRES_SINGLE_THREAD_EXECUTOR`."""

    def __init__(self) -> None:
        self._thread: SharedThread | None = None
        self._starting = threading.Lock()

    def __call__(self, name: str) -> PinnedThread:
        """Return the thread, started now if it does not run."""
        with self._starting:
            self._thread = self._thread or SharedThread("openenv-shared")
            return self._thread

    def end(self) -> None:
        """End the thread; the next session starts another one."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()


def blueprint_of(
    factory: Callable[[], Any],
    name: str,
    *,
    action_cls: Any,
    observation_cls: Any,
    state_cls: Any,
    execution: Execution | None,
    one_thread: bool,
    debug: bool,
) -> OpenEnvBlueprint:
    """Build the blueprint of an OpenEnv environment."""
    return OpenEnvBlueprint(
        factory=factory,
        name=name,
        action=ActionCodec(action_cls),
        observation=observations_of(observation_cls),
        state=values_of(state_cls),
        execution=execution,
        debug=debug,
        identities=Shareable(),
        adapter=CALL_ADAPTER,
        threads=OneThread() if one_thread else PinnedThread,
        keeps_thread=True,
    )
