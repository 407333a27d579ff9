"""The token and the allowed origins of `openenv serve`, enforced in an author's FastAPI app."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from openenv_async.server.security import Guard
from openenv_async.server.server import Server
from openenv_async.transport.ws_server import Receive, Send

logger = logging.getLogger("openenv_async.compat")


def guard(app: FastAPI, server: Server) -> None:
    """Put a guard in front of every route of an app, unless another environment has, and record its server there.

    Raises:
        RuntimeError: a token is required, but the app runs already and takes no more middleware.
    """
    classes: list[Any] = [middleware.cls for middleware in app.user_middleware]
    if AppGuard in classes:
        return
    if app.middleware_stack is None:
        app.add_middleware(AppGuard, owner=app, server=server)
        app.server = server  # type: ignore[attr-defined]  # where `openenv serve` looks for the settings
    elif server.settings.token is not None:
        raise RuntimeError("a token is required, but the app runs already: call register_routes() before it starts")
    else:
        logger.warning("routes were registered in an app that runs already: pages of other origins may use them")


class AppGuard:
    """A `Guard` that also allows the origins of the author's `CORSMiddleware`."""

    def __init__(self, app: Any, owner: FastAPI, server: Server) -> None:
        settings = server.settings
        origins = [*settings.allow_origins]
        patterns: list[str] = []
        for middleware in owner.user_middleware:
            cls: Any = middleware.cls
            if cls is CORSMiddleware:
                known: dict[str, Any] = middleware.kwargs
                origins += known.get("allow_origins", ())
                patterns += filter(None, [known.get("allow_origin_regex")])
        self._guard = Guard(
            app,
            token=settings.token,
            allow_origins=tuple(origins),
            page=server.page,
            origin_pattern="|".join(f"(?:{pattern})" for pattern in patterns) or None,
            operator_key=server.operator_key,
        )

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope, or refuse it."""
        await self._guard(scope, receive, send)
