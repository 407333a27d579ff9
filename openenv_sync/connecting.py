"""`connect`, which is two things: `SyncEnv.connect(url)` makes a client, `env.connect()` connects one.

The twin of `openenv_async.client.connecting`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from openenv_sync.client import SyncEnv

EnvT = TypeVar("EnvT", bound="SyncEnv[Any, Any, Any]")


class Connect:
    """The descriptor behind the name."""

    def __get__(self, obj: EnvT | None, owner: type[EnvT]) -> Callable[..., EnvT]:
        """Give the one that fits how it was reached."""
        if obj is not None:
            return _Existing(obj)

        def connect(target: Any, **options: Any) -> EnvT:
            env = owner(target, **options)
            env.open()
            return env

        connect.__doc__ = "Make a client with the constructor's options, connect it and give it."
        return connect


class _Existing:
    """`env.connect`, which takes no target: the client has one."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __call__(self) -> Any:
        self._env.open()
        return self._env
