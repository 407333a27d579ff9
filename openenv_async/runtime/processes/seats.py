"""Sessions on an event loop inside a process: each has a task, and an executor as it would have in the server.

Plain environments get a thread each, `async def` ones run on the loop together, so a
call that sleeps holds up nobody. Deadlines and cancelling are the executors'. What
holds the whole process, such as C code that keeps the interpreter's lock, is the
server's to end: `executors.process` waits a moment longer and kills.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections import deque
from collections.abc import Callable

import msgspec

from openenv_async.errors import EnvError
from openenv_async.runtime.atwork import SESSION
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.inline import CallCancelled, InlineExecutor
from openenv_async.runtime.executors.start import start_executor
from openenv_async.runtime.processes import messages
from openenv_async.runtime.processes.line import Line
from openenv_async.runtime.processes.messages import Facts, Kind, Op, Opening, Request


class Seats:
    """The sessions of this process.

    Args:
        line: to the server.
        blueprint: builds their environments.
        alone: there is one session, and the process ends with it.
    """

    def __init__(self, line: Line, blueprint: Blueprint, *, alone: bool) -> None:
        self.line, self.blueprint = line, blueprint
        self._alone = alone
        self._seats: dict[int, _Seat] = {}
        self._over: asyncio.Future[None] | None = None

    def serve(self, begin: Callable[[], None]) -> None:
        """Run a loop until the one session ends, or the server does; `begin` is called on it first."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve(begin))

    async def _serve(self, begin: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        loop.add_reader(self.line.sock.fileno(), self._on_readable)
        begin()
        await self._over
        loop.remove_reader(self.line.sock.fileno())

    def _on_readable(self) -> None:
        for request in self.line.ready():
            self.take(request)

    def take(self, request: Request) -> None:
        """Give a request to whom it concerns."""
        if request.op == Op.OPEN:
            self.seat(request.seat, msgspec.msgpack.decode(request.payload, type=Opening), None)
            return
        seat = self._seats.get(request.seat)
        if seat is None:
            # It ended as the request was on its way.
            return
        if request.op == Op.CANCEL:
            seat.cancel(request.rid)
        else:
            seat.put(request)

    def seat(self, number: int, opening: Opening, executor: Executor | None) -> None:
        """Begin a session; without an executor, its environment is still to be built."""
        self._seats[number] = _Seat(self, number, opening, executor)

    def leave(self, number: int) -> None:
        """Hear that a session has ended."""
        del self._seats[number]
        if self._alone and self._over is not None and not self._over.done():
            self._over.set_result(None)


class _Seat:
    """One session: its task makes every call, as the contract of executors wants it."""

    def __init__(self, seats: Seats, number: int, opening: Opening, executor: Executor | None) -> None:
        self._seats, self._number, self._opening = seats, number, opening
        self._executor = executor
        self._queue: deque[Request] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._rid = 0
        self._cancelled: set[int] = set()
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"openenv-{opening.session_id}")
        self._task.add_done_callback(_never_silently)

    def put(self, request: Request) -> None:
        self._queue.append(request)
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def cancel(self, rid: int) -> None:
        if rid == self._rid and self._executor is not None:
            self._executor.cancel()
        elif any(rid == request.rid for request in self._queue):
            self._cancelled.add(rid)

    async def _live(self) -> None:
        SESSION.set(self._opening.session_id)
        line = self._seats.line
        executor = self._executor or await self._build()
        if executor is not None:
            self._executor = executor
            facts = Facts(isinstance(executor, InlineExecutor), executor.step_timeout_s)
            line.send(messages.reply(Kind.OPENED, self._number, 0, facts))
        while True:
            while not self._queue:
                self._waker = asyncio.get_running_loop().create_future()
                await self._waker
            request = self._queue.popleft()
            if request.op == Op.CLOSE:
                break
            if executor is not None:
                await self._play(line, executor, request)
        if executor is not None:
            await executor.aclose()
        self._seats.leave(self._number)
        line.closed(self._number)

    async def _build(self) -> Executor | None:
        opening = self._opening
        self._seats.line.send(messages.reply(Kind.BEGUN, self._number, 0, None))
        try:
            return await start_executor(self._seats.blueprint, opening.session_id, opening.create_timeout_s)
        except EnvError as exc:
            self._seats.line.send(messages.failed_reply(exc, self._number, 0))
            return None

    async def _play(self, line: Line, executor: Executor, request: Request) -> None:
        if request.rid in self._cancelled:
            self._cancelled.discard(request.rid)
            line.fail(CallCancelled(), request)
            return
        self._rid = request.rid
        try:
            outcome = await executor.call(request.call)
        except Exception as exc:  # the peer is told; a bug of ours is logged on its way
            line.fail(exc, request)
        else:
            line.answer(outcome, self._opening, request)
        finally:
            self._rid = 0


def _never_silently(task: asyncio.Task[None]) -> None:
    """End the process on a bug of ours: the server would wait for ever for a session without a task."""
    if not task.cancelled() and task.exception() is not None:
        traceback.print_exception(task.exception())
        os._exit(1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
