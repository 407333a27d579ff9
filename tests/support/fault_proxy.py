"""A proxy that misbehaves as a network does, in a thread and an event loop of its own.

It carries bytes between a client and a server, over TCP or Unix sockets, and does to
them what its plan says (`plans.Fault`). Of WebSockets it knows where a message ends,
from `messages`. The loop under test and the proxy's have nothing in common but sockets;
the methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from support.fault_plans import WAYS, Fault, Plan, Way, healthy
from support.ws_messages import Messages

T = TypeVar("T")

Address = tuple[str, int] | Path
"""Host and port, or the path of a Unix socket."""

BOUND_S = 10.0
PIECE = 64 * 1024
SLOW_PIECES_PER_S = 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Ended(Exception):
    """A fault has ended the connection."""


class Proxy:
    """Listens until it is closed. `with` or `async with` it.

    Args:
        target: where the server listens; may be set to another address, for connections that come later.
        listen: where clients come; port 0 takes a free one.
        plan: what happens to connections; `arm` changes it.
    """

    def __init__(self, target: Address, listen: Address = ("127.0.0.1", 0), plan: Plan = healthy) -> None:
        self.target = target
        self.counts: Counter[str] = Counter()
        """How often each fault has happened; and `connections`, `refused` by the server, `swallowed` bytes."""
        self._listen, self._plan = listen, plan
        self._number = 0
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect."""
        if isinstance(self._listen, Path):
            return f"unix:{self._listen}"
        return f"http://{self._listen[0]}:{self._listen[1]}"

    def arm(self, plan: Plan) -> None:
        """Give a plan to every connection there is and to those that come; bytes count from now on."""

        async def arm() -> None:
            self._plan = plan
            for connection in self._open:
                connection.arm(plan(self._next_number()))

        self._run(arm())

    def cut(self, way_out: str = "reset") -> int:
        """Cut every connection at once, with RST (`reset`) or FIN (`finish`); gives how many there were."""

        async def cut() -> int:
            cut = list(self._open)
            for connection in cut:
                connection.end(reset=way_out == "reset")
                self.counts[way_out] += 1
            return len(cut)

        return self._run(cut())

    def start(self) -> None:
        self._thread.start()
        self._run(self._begin())

    def close(self) -> None:
        """End every connection and the thread. Safe to repeat."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND_S)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(BOUND_S)

    async def _begin(self) -> None:
        if isinstance(self._listen, Path):
            self._server = await asyncio.start_unix_server(self._carry, self._listen)
        else:
            host, port = self._listen
            self._server = await asyncio.start_server(self._carry, host, port, backlog=1024)
            self._listen = host, self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._open):
            connection.end(reset=True)
        for _ in range(3):
            # A connection may have been accepted in this very turn; aborted transports say goodbye in the next ones.
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        plan = self._plan(self._next_number())
        try:
            if isinstance(self.target, Path):
                far = await asyncio.open_unix_connection(self.target)
            else:
                far = await asyncio.open_connection(*self.target)
        except (OSError, asyncio.CancelledError) as exc:
            writer.transport.abort()
            if isinstance(exc, OSError):
                self.counts["refused"] += 1
            return
        connection = _Connection(self.counts, (reader, writer), far)
        connection.arm(plan)
        self._open.add(connection)
        try:
            await connection.run()
        except asyncio.CancelledError:
            pass  # the proxy is closing; asyncio's streams up to 3.11 report a cancelled handler as an error
        finally:
            self._open.discard(connection)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Connection:
    """One client's connection and the one to the server behind it."""

    def __init__(
        self,
        counts: Counter[str],
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._counts = counts
        self._writers = near[1], far[1]
        self._lanes: dict[Way, _Lane] = {
            "up": _Lane(self, "up", near[0], far[1]),
            "down": _Lane(self, "down", far[0], near[1]),
        }
        self.over = asyncio.Event()
        self.silent = False
        """Both ways are swallowed, ends of connections included."""

    def arm(self, faults: Sequence[Fault]) -> None:
        for way in WAYS:
            self._lanes[way].arm([fault for fault in faults if fault.way == way])

    async def run(self) -> None:
        lanes = [asyncio.create_task(lane.run()) for lane in self._lanes.values()]
        try:
            done, _ = await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
            for lane in done:
                with contextlib.suppress(Ended, OSError):
                    lane.result()
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            self.end(reset=False)

    def count(self, fault: Fault) -> None:
        self._counts[fault.kind] += 1

    def swallow(self, size: int) -> None:
        self._counts["swallowed"] += size

    def end(self, *, reset: bool) -> None:
        self.over.set()
        for writer in self._writers:
            if reset:
                sock = writer.get_extra_info("socket")
                if sock is not None and sock.family != socket.AF_UNIX:
                    with contextlib.suppress(OSError):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                writer.transport.abort()
            else:
                writer.close()


class _Lane:
    """One way of a connection."""

    def __init__(
        self, connection: _Connection, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.way = way
        self._connection, self._reader, self._writer = connection, reader, writer
        self._faults: deque[Fault] = deque()
        self._passed = 0
        self._swallowing = False
        self._repeats = False
        self._messages = Messages()
        self._rate = 0
        self._doings: dict[str, Callable[[Fault], Coroutine[Any, Any, None]]] = {
            "reset": self._cut,
            "finish": self._cut,
            "delay": self._delay,
            "throttle": self._throttle,
            "half-open": self._half_open,
            "truncate": self._truncate,
            "duplicate": self._duplicate,
        }

    def arm(self, faults: list[Fault]) -> None:
        self._faults = deque(sorted(faults, key=lambda fault: fault.at))
        self._passed = self._rate = 0

    async def run(self) -> None:
        while piece := await self._reader.read(PIECE):
            await self._pass_on(piece)
        if self._connection.silent or self._swallowing:
            # The other side must not hear of it.
            await self._connection.over.wait()
            raise Ended
        with contextlib.suppress(OSError, NotImplementedError):
            self._writer.write_eof()
        if self.way == "up":
            # A client that has closed reads nothing more; a server may, while its client is still reading.
            raise Ended

    async def _pass_on(self, piece: bytes) -> None:
        rest = piece
        while self._faults and self._faults[0].at < self._passed + len(rest):
            fault = self._faults.popleft()
            before = max(0, fault.at - self._passed)
            await self._send(rest[:before])
            rest = rest[before:]
            self._connection.count(fault)
            await self._doings[fault.kind](fault)
        await self._send(rest)

    async def _send(self, data: bytes) -> None:
        self._passed += len(data)
        if self._connection.silent or self._swallowing:
            self._connection.swallow(len(data))
            return
        data = self._doubled(data)
        while data:
            size = max(1, self._rate // SLOW_PIECES_PER_S) if self._rate else len(data)
            self._writer.write(data[:size])
            await self._writer.drain()
            if self._rate:
                await asyncio.sleep(size / self._rate)
            data = data[size:]

    def _doubled(self, data: bytes) -> bytes:
        """Give the bytes, with a message in them twice where that is due."""
        whole = self._messages.cut(data)
        if not self._repeats or not whole:
            return data
        self._repeats = False
        end = len(data) - self._messages.waiting
        return data[:end] + whole[-1] + data[end:]

    async def _cut(self, fault: Fault) -> None:
        self._connection.end(reset=fault.kind == "reset")
        raise Ended

    async def _delay(self, fault: Fault) -> None:
        await asyncio.sleep(fault.seconds)

    async def _throttle(self, fault: Fault) -> None:
        self._rate = fault.rate
        if fault.seconds:
            asyncio.get_running_loop().call_later(fault.seconds, self._hurry)

    def _hurry(self) -> None:
        self._rate = 0

    async def _half_open(self, fault: Fault) -> None:
        self._connection.silent = True
        if fault.seconds:
            asyncio.get_running_loop().call_later(fault.seconds, lambda: self._connection.end(reset=True))

    async def _truncate(self, fault: Fault) -> None:
        self._swallowing = True
        asyncio.get_running_loop().call_later(fault.seconds, lambda: self._connection.end(reset=False))

    async def _duplicate(self, _fault: Fault) -> None:
        self._repeats = True
