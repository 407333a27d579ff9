"""`/ws`: one endpoint, two wires. The subprotocol that the client offers decides."""

from __future__ import annotations

from typing import Any

from openenv_async.protocol.frames import SUBPROTOCOL
from openenv_async.server.core import Server
from openenv_async.server.native import NativeConnection
from openenv_async.server.openenv_ws import JsonConnection
from openenv_async.transport.asgi import Receive, Send, accept_link
from openenv_async.transport.link import LinkClosed


class WebSocketEndpoint:
    """The ASGI app behind `/ws`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        native = SUBPROTOCOL in scope.get("subprotocols", ())
        try:
            link = await accept_link(receive, send, SUBPROTOCOL if native else None, scope.get("extensions"))
        except LinkClosed:
            return
        connection = NativeConnection(self._server, link) if native else JsonConnection(self._server, link)
        connection.peer = peer_of(scope)
        await connection.run()


def peer_of(scope: Any) -> str | None:
    """Give the address that a connection comes from, `host:port`; None for a unix socket."""
    host, port = (scope.get("client") or ("", None))[:2]
    if not host:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
