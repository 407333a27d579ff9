"""A client's connection: opened when it is needed, given up when it can no longer be trusted, never silently replaced.

One connection is one session. When it is lost, so is the episode: `step` and `state`
then raise ConnectionError, and only `reset()` or `connect()` open another. Knows
messages, not what they mean; `env_client` makes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import abstractmethod
from typing import Any

from openenv_async.compat.client.options import plain
from openenv_async.compat.client.provider_lifecycle import Owning
from openenv_async.compat.client.sockets import close_quietly, drop, is_closed
from openenv_async.compat.client.sync_async import LoopLock
from openenv_async.transport.link import LinkClosed

_REFUSED = ("CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR")
"""Codes after which there is no session: the server closes the connection."""

_FULL = "(code: CAPACITY_REACHED)"

FULL_PAUSE_S = 0.05
"""Seconds before asking again for a place that should become free."""

_ENCODER = json.JSONEncoder(default=plain)

_GOODBYE = '{"type": "close"}'


class Connection(Owning):
    """The half of a client that talks to the server."""

    _connect_timeout: float
    _message_timeout: float | None

    def __init__(self) -> None:
        self._ws: Any = None
        self._ws_loop: asyncio.AbstractEventLoop | None = None
        self._pending_close_tasks: set[asyncio.Task[None]] = set()
        self._answered = False
        """The session on this connection has answered, or may have acted, so that there may be an episode to lose."""
        self._lost: str | None = None
        self._gave_up = False
        """The server may still be at a call that nobody waits for any longer."""
        self._one_call, self._one_connect = LoopLock(), LoopLock()

    @abstractmethod
    async def _open_socket(self) -> Any:
        """Open a connection to `_ws_url`."""

    @abstractmethod
    async def _close_async(self) -> None:
        """Close everything that this client holds."""

    def _keeps_session(self) -> bool:
        """Whether the session outlives its connection, so that the next one finds it again."""
        return False

    async def _connect_async(self) -> Any:
        """Connect, if there is no usable connection.

        Raises:
            ConnectionError: no server answered; the provider, if there is one, is stopped.
        """
        async with self._one_connect.here():
            self._forget_unusable()
            if self._ws is None:
                await self._drain_pending_close_tasks()
                await self._open()
        return self

    async def _open(self) -> None:
        try:
            await self._start_provider_if_needed()
        except Exception:
            if not self._provider_cleanup_pending:
                with contextlib.suppress(Exception):
                    await self._close_connection()
            raise
        try:
            self._ws = await self._open_socket()
        except Exception as exc:
            url = self._ws_url
            await self._close_async()
            raise ConnectionError(f"Failed to connect to {url}: {exc}") from exc
        self._ws_loop = asyncio.get_running_loop()
        self._answered, self._lost = False, None

    async def _ensure_connected(self) -> None:
        await self._connect_async()

    def _forget_unusable(self) -> None:
        """Drop a connection that was closed, or that belongs to another event loop or process."""
        ws, loop = self._ws, self._ws_loop
        if ws is None:
            return
        if is_closed(ws):
            self._lose("the server closed the connection")
        elif loop is None:  # a subclass has put it there
            self._ws_loop = asyncio.get_running_loop()
        elif loop is not asyncio.get_running_loop():
            self._lose("the connection was made on another event loop")
            self._gave_up = True
            drop(ws, loop)

    def _lose(self, reason: str) -> Any:
        """Let the connection go, and with it the session."""
        ws, self._ws, self._ws_loop = self._ws, None, None
        if self._answered and not self._keeps_session():
            self._lost = f"{reason}, and the episode is gone with it; call reset() to begin another"
        self._answered = False
        return ws

    async def _send(self, message: dict[str, Any]) -> None:
        """Send a message, connecting first if need be.

        Raises:
            ConnectionError: no server answered; or the session was lost, and the message is no `reset`.
        """
        self._forget_unusable()
        if self._ws is None and self._lost is not None and message.get("type") != "reset":
            raise ConnectionError(self._lost)
        await self._ensure_connected()
        assert self._ws is not None  # connected just now
        await self._ws.send(_ENCODER.encode(message))

    async def _receive(self) -> dict[str, Any]:
        """Give the next message. A connection on which nobody waits for an answer any longer is given up.

        Raises:
            TimeoutError: none within `message_timeout_s`.
            CancelledError: the connection is closed in the background, the session lost.
        """
        assert self._ws is not None  # the request went out on it
        try:
            async with asyncio.timeout(self._message_timeout):
                raw = await self._ws.recv()
        except TimeoutError:
            self._answered = self._gave_up = True
            limit = f"{self._message_timeout:g} s" if self._message_timeout is not None else "its time"
            self._schedule_socket_close(self._lose(f"the server did not answer within {limit}"))
            raise TimeoutError(f"the server did not answer within {limit} (message_timeout_s)") from None
        except asyncio.CancelledError:
            self._answered = self._gave_up = True
            # Its answer may still come, and would be taken for the next one's.
            self._schedule_socket_close(self._lose("a call was cancelled while the server was at it"))
            raise
        try:
            response = json.loads(raw)
        except ValueError as exc:
            raise ConnectionError(f"the server does not answer with OpenEnv's JSON: {exc}") from exc
        if not isinstance(response, dict):
            raise ConnectionError(f"the server does not answer with OpenEnv's messages but with {response!r:.80}")
        return response

    async def _send_and_receive(self, message: dict[str, Any]) -> dict[str, Any]:
        """Ask and wait for the answer. Calls made at the same time take turns.

        Raises:
            RuntimeError: the server answered with an error.
            TimeoutError: it did not answer in time.
            ConnectionError: it cannot be reached, or the session is lost.
        """
        async with self._one_call.here():
            self._forget_unusable()
            if message.get("type") == "reset" and self._gave_up:
                return await self._ask_again_while_full(message)
            return await self._ask(message)

    async def _ask_again_while_full(self, message: dict[str, Any]) -> dict[str, Any]:
        """Ask until the place is free that this client has left: the environment may still be at the call given up."""
        deadline = asyncio.get_running_loop().time() + self._connect_timeout
        while True:
            try:
                response = await self._ask(message)
            except RuntimeError as exc:
                if _FULL not in str(exc) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(FULL_PAUSE_S)
            else:
                self._gave_up = False
                return response

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        old = self._ws
        try:
            response = await self._exchange(message)
        except Exception as exc:
            if not _is_gone(exc):
                raise
            closed = self._ws is not old  # by this side, meanwhile
            self._lose(f"the connection was lost ({exc})")
            if old is None or closed or message.get("type") != "reset":
                raise ConnectionError(self._lost or f"the connection was lost: {exc}") from exc
            # It had ended before this call, without this side knowing.
            response = await self._exchange_again(message)
        if response.get("type") == "error":
            self._raise(response.get("data") or {})
        self._answered = True
        return response

    async def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        sent = False
        try:
            await self._send(message)
            sent = True
        except Exception as exc:
            # A server that refuses a session says why, and closes: its word may be there still.
            if not _is_gone(exc):
                raise
        try:
            return await self._receive()
        except Exception as exc:
            self._answered |= sent and _is_gone(exc)
            raise

    async def _exchange_again(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._exchange(message)
        except Exception as exc:
            if not _is_gone(exc):
                raise
            self._lose(f"the connection was lost ({exc})")
            raise ConnectionError(f"the server closes its connections: {exc}") from exc

    def _raise(self, error: dict[str, Any]) -> None:
        code = error.get("code", "UNKNOWN")
        if code in _REFUSED:
            self._schedule_socket_close(self._lose(f"the server ended the session ({code})"))
        else:
            self._answered = True
        raise RuntimeError(f"Server error: {error.get('message', 'Unknown error')} (code: {code})")

    def _schedule_socket_close(self, ws: Any, *, notify_server: bool = False) -> asyncio.Task[None]:
        """Close a connection in the background; the next connect or close waits for it."""
        task = asyncio.create_task(close_quietly(ws, _GOODBYE if notify_server else None))
        self._pending_close_tasks.add(task)
        task.add_done_callback(self._pending_close_tasks.discard)
        return task

    async def _disconnect_async(self) -> None:
        """End the session; returns when the server has, or after some seconds. A cancelled call goes on to its end."""
        loop = self._ws_loop
        ws = self._lose("this client was disconnected")
        if ws is None:
            return
        if loop is None or loop is asyncio.get_running_loop():
            # A server that is at a call would hear a goodbye only after it, and so would whoever waits for the call.
            idle = not self._one_call.here().locked()
            await asyncio.shield(self._schedule_socket_close(ws, notify_server=idle))
        else:
            drop(ws, loop)

    async def _drain_pending_close_tasks(self) -> None:
        # A server with one slot has none until the last connection is closed.
        loop = asyncio.get_running_loop()
        if tasks := [task for task in self._pending_close_tasks if task.get_loop() is loop]:
            await asyncio.shield(asyncio.wait(tasks))

    async def _close_connection(self) -> None:
        """End the session, and then the server if this client owns one, whatever happens on the way."""
        try:
            try:
                await self._drain_pending_close_tasks()
            finally:
                await self._disconnect_async()
        finally:
            await self._stop_provider()


def _is_gone(exc: Exception) -> bool:
    """Whether a socket says that its connection is no more: ours, or one of the `websockets` library."""
    return isinstance(exc, LinkClosed) or any(kind.__name__ == "ConnectionClosed" for kind in type(exc).__mro__)
