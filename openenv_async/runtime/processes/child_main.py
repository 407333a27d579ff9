"""Sessions on an event loop inside a process: each has a task, and an executor as it would have in the server.

Plain environments get a thread each, `async def` ones run on the loop together, so a
call that sleeps does not hold up the others. Deadlines and cancelling are the executors'. What
holds the whole process, such as C code that keeps the interpreter's lock, is the
server's to end: `executors.process` waits a moment longer and kills.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import traceback
from collections import deque
from collections.abc import Callable
from typing import NoReturn

import msgspec

from openenv_async.errors import EnvError, FactoryError
from openenv_async.protocol.error_mapping import new_error_id
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.calls import CallCancelled
from openenv_async.runtime.current_session import SESSION
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.factory import start_executor
from openenv_async.runtime.executors.inline import InlineExecutor
from openenv_async.runtime.host import Host
from openenv_async.runtime.processes import child_setup, logs, messages
from openenv_async.runtime.processes.blueprint_transfer import BlueprintTransfer
from openenv_async.runtime.processes.ipc import ServerChannel, leave
from openenv_async.runtime.processes.messages import ChildRequest, Facts, Op, Opening, ReplyKind
from openenv_async.tracing import run_under


class ChildSessions:
    """The sessions of this process.

    Args:
        line: to the server.
        blueprint: builds their environments.
        alone: there is one session, and the process ends with it.
    """

    def __init__(self, line: ServerChannel, blueprint: Blueprint, *, alone: bool) -> None:
        self.line, self.blueprint = line, blueprint
        self._alone = alone
        self._sessions: dict[int, _ChildSession] = {}
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

    def take(self, request: ChildRequest) -> None:
        """Pass a request to its session."""
        if request.op == Op.OPEN:
            self.open(request.number, msgspec.msgpack.decode(request.payload, type=Opening), None)
            return
        session = self._sessions.get(request.number)
        if session is None:
            # It ended as the request was on its way.
            return
        if request.op == Op.CANCEL:
            session.cancel(request.rid)
        else:
            session.put(request)

    def open(self, number: int, opening: Opening, executor: Executor | None) -> None:
        """Begin a session; without an executor, its environment is still to be built."""
        self._sessions[number] = _ChildSession(self, number, opening, executor)

    def leave(self, number: int) -> None:
        """Remove a session that has ended."""
        del self._sessions[number]
        if self._alone and self._over is not None and not self._over.done():
            self._over.set_result(None)


class _ChildSession:
    """One session: its task makes every call, as the contract of executors wants it."""

    def __init__(self, sessions: ChildSessions, number: int, opening: Opening, executor: Executor | None) -> None:
        self._sessions, self._number, self._opening = sessions, number, opening
        self._executor = executor
        self._queue: deque[ChildRequest] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._rid = 0
        self._cancelled: set[int] = set()
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"openenv-{opening.session_id}")
        self._task.add_done_callback(_never_silently)

    def put(self, request: ChildRequest) -> None:
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
        line = self._sessions.line
        executor = self._executor or await self._build()
        if executor is not None:
            self._executor = executor
            facts = Facts(isinstance(executor, InlineExecutor), executor.step_timeout_s)
            line.send(messages.reply(ReplyKind.OPENED, self._number, 0, facts))
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
        self._sessions.leave(self._number)
        line.closed(self._number)

    async def _build(self) -> Executor | None:
        opening = self._opening
        self._sessions.line.send(messages.reply(ReplyKind.BEGUN, self._number, 0, None))
        try:
            return await start_executor(self._sessions.blueprint, opening.session_id, opening.create_timeout_s)
        except EnvError as exc:
            self._sessions.line.send(messages.failed_reply(exc, self._number, 0))
            return None

    async def _play(self, line: ServerChannel, executor: Executor, request: ChildRequest) -> None:
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


logger = logging.getLogger("openenv_async")


def work(sock: socket.socket, transfer: BlueprintTransfer) -> NoReturn:
    """Serve the sessions that come over `sock`; the process ends with the last one, or with the server."""
    line = ServerChannel(sock)
    logs.install(transfer.log_level, line.log)
    try:
        # Before a session asks for it: an import may take long.
        blueprint = transfer.load()
    except BaseException as exc:  # the author's module may raise anything
        failure = _import_failed(exc)
        line.fail(failure, line.receive())
        line.receive()
        leave()
    first = line.receive()
    if transfer.options.sessions_per_process > 1:
        child_setup.apply_limits(child_setup.limits_of(blueprint.factory, transfer.options))
        sessions = ChildSessions(line, blueprint, alone=False)
        sessions.serve(lambda: sessions.take(first))
    else:
        _serve_one(line, blueprint, transfer, first)
    leave()


def _import_failed(exc: BaseException) -> FactoryError:
    error_id = new_error_id()
    logger.error("the environment's code cannot be imported [error %s]", error_id, exc_info=exc)
    return FactoryError(
        "the environment's code cannot be imported in a process of its own",
        exception_type=type(exc).__name__,
        error_id=error_id,
    )


def _serve_one(line: ServerChannel, blueprint: Blueprint, transfer: BlueprintTransfer, first: ChildRequest) -> None:
    opening = msgspec.msgpack.decode(first.payload, type=Opening)
    SESSION.set(opening.session_id)
    line.send(messages.reply(ReplyKind.BEGUN, first.number, 0, None))
    limits = child_setup.limits_of(blueprint.factory, transfer.options)
    child_setup.apply_limits(limits)
    host = Host(blueprint, opening.session_id)
    try:
        host.create()
    except EnvError as exc:
        line.fail(exc, first)
        line.receive()
        return
    # The environments of a function say for themselves what their class declares.
    own = child_setup.limits_of(host.environment, transfer.options)
    if own != limits:
        child_setup.apply_limits(own)
    if host.is_async:
        sessions = ChildSessions(line, blueprint, alone=True)
        executor = InlineExecutor(host, None, opening.session_id)
        sessions.serve(lambda: sessions.open(first.number, opening, executor))
    else:
        line.send(messages.reply(ReplyKind.OPENED, first.number, 0, Facts(False, host.step_timeout_s)))
        _play(line, host, opening, first.number)


def _play(line: ServerChannel, host: Host, opening: Opening, number: int) -> None:
    """Call, answer, call: one receive and one send each."""
    while True:
        asked = line.receive()
        if asked.op == messages.CLOSE:
            host.close_blocking()
            line.closed(number)
            return
        if asked.op == messages.CANCEL:
            # It came after the call had ended: one at work in this thread cannot hear it.
            continue
        try:
            outcome = (
                run_under(asked.trace, host.call_blocking, asked.call)
                if asked.trace
                else host.call_blocking(asked.call)
            )
        except Exception as exc:  # the peer is told; a bug of ours is logged on its way
            line.fail(exc, asked)
        else:
            line.answer(outcome, opening, asked)
