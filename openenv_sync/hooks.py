"""The async client class under a sync one: the same type arguments, and the hooks that the sync class overrides.

`client` makes an instance of it and calls it.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from typing import Any

from openenv_async.client import AsyncEnv
from openenv_async.errors import ClientClosed

HOOKS = ("_step_payload", "_parse_result", "_parse_state")
"""OpenEnv's three methods between a trainer's values and the wire."""

AnyAsyncEnv = AsyncEnv[Any, Any, Any]


def inner_class(base: type[AnyAsyncEnv], name: str, arguments: tuple[Any, ...], hooks: list[str]) -> type[AnyAsyncEnv]:
    """Make the class.

    Args:
        base: what the parent of the sync class stands on.
        name: of the sync class; errors name it.
        arguments: what the sync class has in its brackets; nothing when it leaves them to its parent.
        hooks: those of `HOOKS` that the sync class overrides.
    """
    generic: Any = AsyncEnv
    parent = generic[arguments] if arguments else base
    made = types.new_class(name, (parent,), exec_body=lambda space: space.update((hook, _hook(hook)) for hook in hooks))
    made.__module__ = __name__
    return made


def lend_hooks(inner: AnyAsyncEnv, facade: object) -> None:
    """Let the async client find the object whose hooks it calls."""
    # Weak: the loop holds the inner client, and a sync client without a reference is to be collected at once.
    inner.__dict__["facade"] = weakref.ref(facade)


def tell_facade(inner: Any) -> object:
    """Call the sync client's `on_reconnect`, as the async client calls its own."""
    facade = inner.facade()
    return None if facade is None or facade.on_reconnect is None else facade.on_reconnect(facade)


def _hook(name: str) -> Callable[[Any, Any], Any]:
    def hook(self: Any, value: Any) -> Any:
        facade = self.facade()
        if facade is None:
            raise ClientClosed(f"the {type(self).__name__} of this call no longer exists")
        return getattr(facade, name)(value)

    hook.__name__ = name
    return hook
