"""Which connection carries which client: one per event loop, server and headers.

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
from os import PathLike, fspath
from typing import Any
from weakref import WeakKeyDictionary

from openenv_async.client.channel import Channel
from openenv_async.client.json import JsonChannel
from openenv_async.client.native import NativeChannel, NativeConnection
from openenv_async.client.options import ClientOptions, ConnectTarget, max_message_bytes
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

    async def open(self, target: ConnectTarget, options: ClientOptions) -> Channel:
        """Open a session, on the shared connection where there can be one.

        A server that has just said that it is closing is being replaced: its successor is waited for, as long as a
        connection may take.

        Raises:
            ConnectFailed: no server answered, or one of another kind.
            EnvError: the server refused the session.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + options["connect_timeout_s"]
        key = (
            target.url,
            target.unix_path,
            id(target.app),
            tuple(sorted((options["headers"] or {}).items())),
            options["max_message_size_mb"],
            options["ca_file"],
            options["client_cert_file"],
            options["client_key_file"],
            options["ping_interval_s"],
        )
        known = self.shared.setdefault(key, _Shared())
        # By it the server finds the session again when the connection is lost before its answer has come.
        secret = secrets.token_urlsafe(16)
        for pause_s in pauses():
            await asyncio.sleep(pause_s)
            try:
                channel = await self._try_open(known, key, target, options, secret)
            except (ServerClosing, ConnectFailed) as exc:
                if isinstance(exc, ServerClosing):
                    known.note_closing()
                replaced = target.app is None and known.closing_at + options["connect_timeout_s"] > loop.time()
                if not replaced or loop.time() + pause_s > until:
                    raise
                continue
            if channel is not None:
                return channel
            if loop.time() > until:
                break
        raise ConnectFailed(f"the connection to {target.url} broke each time while a session was opened")

    async def _try_open(
        self, known: _Shared, key: Any, target: ConnectTarget, options: ClientOptions, secret: str
    ) -> Channel | None:
        """Open a session; None when it has to be tried again on another connection."""
        if options["wire"] == "json" or known.speaks_json_only:
            if options["wire"] == "native":
                raise ConnectFailed(f"the server at {target.url} does not speak the native wire; use wire='auto'")
            return _json(await _connect(target, options, ()), options)
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
            if options["wire"] != "native":
                return _json(found, options)
            await found.aclose()
        return None

    async def _connect(self, key: Any, target: ConnectTarget, options: ClientOptions) -> NativeConnection | Link:
        most, limit_s = max_message_bytes(options), options["connect_timeout_s"]
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
                # A connection that was accepted and lost is tried again; one that was refused is not.
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
        # A session may have been opened on it since, in the same turn.
        if not connection.idle:
            return
        known = self.shared.get(key)
        task = known.native if known is not None else None
        if known is not None and task is not None and task.done() and not _failed(task):
            if task.result() is connection:
                known.native = None
        await connection.aclose()


def _json(link: Link, options: ClientOptions) -> JsonChannel:
    return JsonChannel(link, options["message_timeout_s"], max_message_bytes(options))


async def _open_on(connection: NativeConnection, options: ClientOptions, secret: str) -> NativeChannel | None:
    """Open a session on a shared connection; None when that has gone, before or meanwhile."""
    if not connection.usable():
        return None
    try:
        return await connection.open(options["message_timeout_s"], secret, options["queue_timeout_s"])
    except SessionLost:
        if connection.usable():
            raise
        return None


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _connect(target: ConnectTarget, options: ClientOptions, subprotocols: tuple[str, ...]) -> Link:
    headers = options["headers"] or {}
    try:
        if target.app is not None:
            async with asyncio.timeout(options["connect_timeout_s"]):
                return await open_inprocess(target.app, "/ws", headers, subprotocols)
        return await connect_link(
            Address(
                url=target.url,
                unix_path=target.unix_path,
                headers=headers,
                subprotocols=subprotocols,
                connect_timeout_s=options["connect_timeout_s"],
                ca_file=_path(options["ca_file"]),
                client_cert_file=_path(options["client_cert_file"]),
                client_key_file=_path(options["client_key_file"]),
                ping_interval_s=options["ping_interval_s"],
            )
        )
    except (LinkRefused, LinkClosed, TimeoutError) as exc:
        raise _connect_error(exc, target.unix_path or target.url) from exc


def _path(given: str | PathLike[str] | None) -> str | None:
    return None if given is None else fspath(given)


def _connect_error(exc: LinkRefused | LinkClosed | TimeoutError, where: str) -> Unauthorized | ConnectFailed:
    status, dropped = (exc.status, exc.dropped) if isinstance(exc, LinkRefused) else (None, False)
    if status == 401:
        return Unauthorized(
            f"the server at {where} refused this client (HTTP 401): give its token as token= or in headers="
        )
    text = str(exc) or "no answer in time"
    if isinstance(exc, CertificateRefused):
        return ConnectFailed(f"cannot connect to {where}: {text}", status=None)
    # 403 is what many servers answer where they have no WebSocket at all.
    hint = "is an environment server running there" + (", and does it allow this client?" if status == 403 else "?")
    return ConnectFailed(f"cannot connect to {where}: {text}; {hint}", status=status, dropped=dropped)


_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


def pool() -> Pool:
    """Return the running loop's own."""
    loop = asyncio.get_running_loop()
    found = _POOLS.get(loop)
    if found is None:
        found = _POOLS[loop] = Pool()
    return found
