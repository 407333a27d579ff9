"""The endpoint `/ws` of both wires; the subprotocol that the client offers selects one."""

from __future__ import annotations

from typing import Any

from openenv_async.protocol.frames import SUBPROTOCOL
from openenv_async.server.json_messages import JSON_MESSAGES
from openenv_async.server.json_ws import JsonConnection
from openenv_async.server.native import NativeConnection
from openenv_async.server.server import Server
from openenv_async.server.web.page_auth import SUBPROTOCOL as PAGE
from openenv_async.server.web.page_messages import PageMessages
from openenv_async.transport.link import LinkClosed
from openenv_async.transport.ws_server import Receive, Send, accept_link


class WebSocketEndpoint:
    """The ASGI app behind `/ws`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        offered = scope.get("subprotocols", ())
        native = SUBPROTOCOL in offered
        page = not native and self._server.page.speaks(offered)
        agreed = SUBPROTOCOL if native else PAGE if page else None
        try:
            link = await accept_link(receive, send, agreed, scope.get("extensions"))
        except LinkClosed:
            return
        connection: NativeConnection | JsonConnection
        if native:
            connection = NativeConnection(self._server, link)
        else:
            idle_s = self._server.limits.page_idle_timeout_s
            connection = JsonConnection(
                self._server, link, PageMessages(JSON_MESSAGES, idle_s) if page else JSON_MESSAGES
            )
        connection.peer = peer_of(scope)
        await connection.run()


def peer_of(scope: Any) -> str | None:
    """Return the address that a connection comes from, `host:port`; None for a unix socket."""
    host, port = (scope.get("client") or ("", None))[:2]
    if not host:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
