"""Which connection carries which client: one per event loop, server and headers, without anyone asking.

A server that does not speak the native wire is remembered for as long as the
loop lives, and each session then gets a connection of its own.
"""

from __future__ import annotations

import asyncio
import functools
import math
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from openenv_async.client.channel import Channel
from openenv_async.client.json import JsonChannel
from openenv_async.client.native import NativeChannel, NativeConnection
from openenv_async.client.options import Options, Target
from openenv_async.client.reconnect import WayBack, greet, pauses
from openenv_async.errors import ConnectFailed, ServerClosing, SessionLost, Unauthorized
from openenv_async.protocol.frames import SUBPROTOCOL
from openenv_async.transport.address import Address
from openenv_async.transport.in_process import open_inprocess
from openenv_async.transport.link import CertificateRefused, Link, LinkClosed, LinkRefused
from openenv_async.transport.network import connect_link


@dataclass
class _Shared:
    """What one event loop knows of one server."""

    native: asyncio.Task[NativeConnection | Link] | None = None
    speaks_json_only: bool = False
    closing_at: float = -math.inf
    """When it last said that it is closing, by the loop's clock: another may be about to take its place."""

    def note_closing(self) -> None:
        """It has just said so."""
        self.closing_at = asyncio.get_running_loop().time()


@dataclass
class Pool:
    """The connections of one event loop."""

    shared: dict[Any, _Shared] = field(default_factory=dict)
    closing: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, target: Target, options: Options) -> Channel:
        """Open a session, on the shared connection where there can be one.

        A server that has just said that it is closing is being replaced: its successor is waited for, as long as a
        connection may take.

        Raises:
            ConnectFailed: nobody answered, or no server of this kind.
            EnvError: the server refused the session.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + options.connect_timeout_s
        key = (
            target.url,
            target.unix_path,
            id(target.app),
            options.headers,
            options.max_message_bytes,
            options.ca_file,
            options.ping_interval_s,
        )
        known = self.shared.setdefault(key, _Shared())
        # By it the server knows the session again when the connection is lost before its answer has come.
        secret = secrets.token_urlsafe(16)
        for pause_s in pauses():
            await asyncio.sleep(pause_s)
            try:
                channel = await self._try_open(known, key, target, options, secret)
            except (ServerClosing, ConnectFailed) as exc:
                if isinstance(exc, ServerClosing):
                    known.note_closing()
                replaced = target.app is None and known.closing_at + options.connect_timeout_s > loop.time()
                if not replaced or loop.time() + pause_s > until:
                    raise
                continue
            if channel is not None:
                return channel
            if loop.time() > until:
                break
        raise ConnectFailed(f"the connection to {target.url} broke each time while a session was opened")

    async def _try_open(
        self, known: _Shared, key: Any, target: Target, options: Options, secret: str
    ) -> Channel | None:
        """Open a session; None when it has to be tried again on another connection."""
        if options.wire == "json" or known.speaks_json_only:
            if options.wire == "native":
                raise ConnectFailed(f"the server at {target.url} does not speak the native wire; use wire='auto'")
            return await self._json(await _connect(target, options, ()), options)
        if known.native is None or known.native.cancelled() or _failed(known.native):
            known.native = asyncio.get_running_loop().create_task(self._connect(key, target, options))
        task = known.native
        try:
            found = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(functools.partial(self._unwanted, key))
            raise
        if isinstance(found, NativeConnection):
            channel = await _open_on(found, options, secret)
            if channel is None:
                known.native = None if known.native is task else known.native
                self._on_idle(key, found)
            return channel
        known.speaks_json_only = True
        if known.native is task:
            # The connection that found it out serves the first session.
            known.native = None
            if options.wire != "native":
                return await self._json(found, options)
            await found.aclose()
        return None

    async def _json(self, link: Link, options: Options) -> JsonChannel:
        return JsonChannel(link, options.message_timeout_s, options.max_message_bytes)

    async def _connect(self, key: Any, target: Target, options: Options) -> NativeConnection | Link:
        most, limit_s = options.max_message_bytes, options.connect_timeout_s
        dial = functools.partial(_connect, target, options, (SUBPROTOCOL,))
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        for pause_s in pauses():
            await asyncio.sleep(pause_s)
            try:
                link = await dial()
                if link.subprotocol != SUBPROTOCOL:
                    return link
                greeted = await greet(link, most, limit_s)
                break
            except ConnectFailed as exc:
                # Somebody took the connection and lost it; where nobody listens, that is told at once.
                if not exc.dropped or loop.time() + pause_s > until:
                    raise
        # There is no way back to an app in process: it has not gone anywhere.
        way_back = WayBack(dial, limit_s, most) if target.app is None else None
        idle, draining = functools.partial(self._on_idle, key), self.shared[key].note_closing
        return NativeConnection(greeted, most, idle, draining, way_back)

    def _unwanted(self, key: Any, task: asyncio.Task[NativeConnection | Link]) -> None:
        """Close a connection that its caller gave up on, unless another caller has taken it."""
        if task.cancelled() or task.exception() is not None:
            return
        found = task.result()
        if isinstance(found, NativeConnection):
            self._on_idle(key, found)
        else:
            self._close_later(found.aclose())

    def _on_idle(self, key: Any, connection: NativeConnection) -> None:
        self._close_later(self._close_idle(key, connection))

    def _close_later(self, close: Coroutine[Any, Any, None]) -> None:
        closing = asyncio.get_running_loop().create_task(close)
        self.closing.add(closing)
        closing.add_done_callback(self.closing.discard)

    async def _close_idle(self, key: Any, connection: NativeConnection) -> None:
        # A session may have been opened on it since: in the same turn, by whoever already held it.
        if not connection.idle:
            return
        known = self.shared.get(key)
        task = known.native if known is not None else None
        if known is not None and task is not None and task.done() and not _failed(task):
            if task.result() is connection:
                known.native = None
        await connection.aclose()


async def _open_on(connection: NativeConnection, options: Options, secret: str) -> NativeChannel | None:
    """Open a session on a shared connection; None when that has gone, before or meanwhile."""
    if not connection.usable():
        return None
    try:
        return await connection.open(options.message_timeout_s, secret, options.queue_timeout_s)
    except SessionLost:
        if connection.usable():
            raise
        return None


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _connect(target: Target, options: Options, subprotocols: tuple[str, ...]) -> Link:
    headers = dict(options.headers)
    try:
        if target.app is not None:
            async with asyncio.timeout(options.connect_timeout_s):
                return await open_inprocess(target.app, "/ws", headers, subprotocols)
        return await connect_link(
            Address(
                url=target.url,
                unix_path=target.unix_path,
                headers=headers,
                subprotocols=subprotocols,
                connect_timeout_s=options.connect_timeout_s,
                ca_file=options.ca_file,
                ping_interval_s=options.ping_interval_s,
            )
        )
    except (LinkRefused, LinkClosed, TimeoutError) as exc:
        status = getattr(exc, "status", None)
        where = target.unix_path or target.url
        if status == 401:
            raise Unauthorized(
                f"the server at {where} refused this client (HTTP 401): give its token as token= or in headers="
            ) from exc
        text = str(exc) or "no answer in time"
        # 403 is what many servers answer where they have no WebSocket at all.
        if isinstance(exc, CertificateRefused):
            raise ConnectFailed(f"cannot connect to {where}: {text}", status=None) from exc
        hint = "is an environment server running there" + (", and does it allow this client?" if status == 403 else "?")
        dropped = getattr(exc, "dropped", False)
        raise ConnectFailed(f"cannot connect to {where}: {text}; {hint}", status=status, dropped=dropped) from exc


_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


def pool() -> Pool:
    """Give the running loop's own."""
    loop = asyncio.get_running_loop()
    found = _POOLS.get(loop)
    if found is None:
        found = _POOLS[loop] = Pool()
    return found
