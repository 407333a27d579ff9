"""The server under examination: its address, how to reach it, and how long its answers may take."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from openenv_async.client import AsyncEnv
from openenv_async.client.options import WireChoice
from openenv_async.client.options import find_target as parse_address
from openenv_async.conformance.findings import NotAnEnvironment
from openenv_async.errors import ConnectFailed, ProtocolError, Unauthorized
from openenv_async.protocol.batching import CLIENT_SIDE, Inbox
from openenv_async.protocol.frames import SUBPROTOCOL, Hello, ServerFrame
from openenv_async.transport.address import Address, is_loopback
from openenv_async.transport.link import Link, LinkClosed, LinkRefused
from openenv_async.transport.network import connect_link

Client = AsyncEnv[Any, Any, Any]

SEED = 7
"""Of the episodes that checks play."""

_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}")
_MOST_BYTES = 16 * 1024 * 1024
_LEAVE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerTarget:
    """One running server."""

    url: str
    """`http(s)://host:port/prefix`, without a slash at the end."""

    call_timeout_s: float
    """Seconds that one call may take."""

    token: str | None = field(default=None, repr=False)

    max_sessions: int | None = None
    """Sessions it holds at once, where that is known."""

    started_here: bool = False
    """This process started it, so that no other sessions are on it and it may be filled."""

    def client(self, wire: WireChoice = "auto") -> Client:
        """Return a client that takes and returns dicts."""
        return AsyncEnv(
            self.url,
            token=self.token,
            wire=wire,
            connect_timeout_s=min(self.call_timeout_s, 10.0),
            message_timeout_s=self.call_timeout_s,
        )

    async def get(self, path: str) -> httpx.Response:
        """Send a GET request to an HTTP route.

        Raises:
            httpx.HTTPError: no answer.
        """
        # A proxy that the environment names does not serve connections to this machine.
        direct = is_loopback(urlsplit(self.url).hostname or "")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with httpx.AsyncClient(timeout=self.call_timeout_s, headers=headers, trust_env=not direct) as client:
            return await client.get(self.url + path)

    async def link(self, *subprotocols: str) -> Link:
        """Open a WebSocket without a client on it.

        Raises:
            ConnectFailed: it was refused.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        address = Address(
            url=parse_address(self.url).url,
            headers=headers,
            subprotocols=subprotocols,
            connect_timeout_s=min(self.call_timeout_s, 10.0),
        )
        try:
            return await connect_link(address)
        except (LinkRefused, LinkClosed) as error:
            status = getattr(error, "status", None)
            if status in (401, 403):
                raise Unauthorized(f"the server refused the connection (HTTP {status}): give its token") from error
            raise ConnectFailed(f"no WebSocket at {address.url}: {error}") from error

    async def hello(self) -> Hello | None:
        """Return the server's hello; None for a server that only speaks OpenEnv's JSON.

        Raises:
            ConnectFailed: no WebSocket there.
        """
        link = await self.link(SUBPROTOCOL)
        try:
            if link.subprotocol != SUBPROTOCOL:
                # On this wire each connection is a session, even when nothing is asked of it.
                with contextlib.suppress(LinkClosed):
                    await leave(link)
                return None
            inbox: Inbox[ServerFrame] = Inbox(CLIENT_SIDE, _MOST_BYTES)
            frames = inbox.receive(await link.receive())
            if not frames or not isinstance(frames[0], Hello):
                raise ProtocolError("the server's first frame is not a hello")
            return frames[0]
        except LinkClosed as error:
            raise ConnectFailed(f"the server closed the connection before its hello: {error.reason}") from error
        finally:
            await link.aclose()


async def leave(link: Link) -> None:
    """End a session of OpenEnv's wire, and wait until its slot is free, which the server shows by closing.

    Raises:
        LinkClosed: the server had ended it before.
    """
    await link.send('{"type": "close"}')
    with contextlib.suppress(LinkClosed, TimeoutError):
        async with asyncio.timeout(_LEAVE_S):
            while True:
                await link.receive()


async def require_server(target: ServerTarget) -> None:
    """Check that something like an environment server answers.

    Raises:
        NotAnEnvironment: nothing answers, or something else does.
    """
    try:
        answer = await target.get("/health")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        text = f"nothing answers at {target.url} ({str(error) or type(error).__name__}): is the server running there?"
        raise NotAnEnvironment(text) from error
    if answer.status_code == 404:
        raise NotAnEnvironment(f"what answers at {target.url} is not an environment server: it has no /health")


def find_server_or_folder(text: str) -> str | Path:
    """Return the base URL of a server, or the path of an environment's folder, whichever the text names.

    Raises:
        NotAnEnvironment: it is neither.
    """
    folder = Path(text)
    if folder.is_dir():
        return folder.resolve()
    plain = text.rstrip("/").removesuffix("/ws")
    if plain.startswith(("http://", "https://")):
        return plain
    if plain.startswith(("ws://", "wss://")):
        return plain.replace("ws", "http", 1)
    if _HOST_AND_PORT.fullmatch(plain):
        return f"http://{plain}"
    if folder.exists():
        raise NotAnEnvironment(f"{text} is a file: give the folder of an environment, or a URL")
    raise NotAnEnvironment(f"there is no folder {text}: give the folder of an environment, or a URL")
