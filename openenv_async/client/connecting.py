"""`connect`, which is two things: `await AsyncEnv.connect(url)` makes a client, `await env.connect()` connects one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from openenv_async.client.env import AsyncEnv

EnvT = TypeVar("EnvT", bound="AsyncEnv[Any, Any, Any]")


class Connect:
    """The descriptor behind the name."""

    @overload
    def __get__(self, obj: None, owner: type[EnvT]) -> Callable[..., Coroutine[Any, Any, EnvT]]: ...

    @overload
    def __get__(self, obj: EnvT, owner: type[EnvT]) -> Callable[[], Coroutine[Any, Any, EnvT]]: ...

    def __get__(self, obj: EnvT | None, owner: type[EnvT]) -> Callable[..., Coroutine[Any, Any, EnvT]]:
        """Give the one that fits how it was reached."""
        if obj is not None:
            return _Existing(obj)

        async def connect(target: Any, **options: Any) -> EnvT:
            env = owner(target, **options)
            await env.open()
            return env

        connect.__doc__ = "Make a client with the constructor's options, connect it and give it."
        return connect


class _Existing:
    """`env.connect`, which takes no target: the client has one."""

    def __init__(self, env: Any) -> None:
        self._env = env

    async def __call__(self) -> Any:
        await self._env.open()
        return self._env
