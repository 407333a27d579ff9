"""The server: the ASGI app, its routes and wires, its settings, and the Hypercorn runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv_async.server.app import EnvApp, create_app, create_app_for
    from openenv_async.server.runner import serve_app

__all__ = ["EnvApp", "create_app", "create_app_for", "serve_app"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `create_app` does not bring in Hypercorn."""
    if name == "serve_app":
        from openenv_async.server.runner import serve_app

        return serve_app
    if name in __all__:
        from openenv_async.server import app

        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
