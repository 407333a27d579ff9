"""The processes of one server: spare ones, those in use, and which session is in which.

Starts with the app's lifespan, or with the first session where there is none; then
it ends with the last one. Decisions are made without awaiting; `fork_server` does what
takes time, and tells when it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections import deque

from openenv_async.errors import FactoryError
from openenv_async.limits import Limits
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.process import NeverBegan, ProcessExecutor
from openenv_async.runtime.processes.blueprint_transfer import transfer_for
from openenv_async.runtime.processes.fork_server_client import ForkServerClient, ForkServerLost
from openenv_async.runtime.processes.handle import Process
from openenv_async.runtime.processes.ipc import PIECE
from openenv_async.runtime.processes.messages import Opening
from openenv_async.runtime.processes.options import ProcessOptions

logger = logging.getLogger("openenv_async")

_ATTEMPTS = 3
_OTHER_DESCRIPTORS = 512
"""Besides those of processes: connections, files, what the author has open."""


class ProcessPool:
    """Places each session in a process.

    Args:
        options: see `ProcessOptions`.
        limits: of the server; `max_sessions` bounds the processes.
        kind: the type of the sockets; None: the best that there is.
    """

    def __init__(self, options: ProcessOptions, limits: Limits, kind: int | None = None) -> None:
        self.options, self._limits, self._kind = options, limits, kind
        self._fork_server: ForkServerClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blueprint: Blueprint | None = None
        self._spare: deque[Process] = deque()
        self._used: set[Process] = set()
        self._waiting: deque[asyncio.Future[Process]] = deque()
        self._forking = 0
        self._opening = 0
        self._seat = 0
        self._stays = False
        self._endings: set[asyncio.Task[None]] = set()
        """Ends whose waiters may be cancelled; the loop alone would not keep them."""
        self.started = self.crashed = self.killed = 0
        """Processes so far: begun, ended by themselves, and ended because of a call, a factory or a close that hung."""
        self._buffer = memoryview(bytearray(PIECE))

    @property
    def spare(self) -> int:
        """Processes that are ready for a session."""
        return len(self._spare)

    @property
    def in_use(self) -> int:
        """Processes that have sessions, or are about to end after them."""
        return len(self._used)

    def begin(self, blueprint: Blueprint) -> None:
        """Start with the server: before there are connections, and with spare processes from the beginning.

        Raises:
            FactoryError: the environment cannot be had in processes.
            OSError: the system allows no more processes.
        """
        self._stays = True
        self._start(blueprint)
        self._refill()

    async def start(self, blueprint: Blueprint, session_id: str, timeout_s: float | None) -> Executor:
        """Build a session's environment in a process, bounded by `timeout_s` seconds.

        Raises:
            FactoryError: the factory raised, took too long, gave no environment of its own, or ended its process.
            CancelledError: what has been built is closed where it lives.
        """
        self._opening += 1
        try:
            opening = Opening(session_id, self._limits.max_message_bytes, timeout_s)
            for _ in range(_ATTEMPTS):
                with contextlib.suppress(NeverBegan, ForkServerLost):
                    return await self._open(blueprint, opening)
            raise self._impossible(blueprint, NeverBegan())
        except OSError as error:
            raise self._impossible(blueprint, error) from error
        finally:
            self._opening -= 1
            await self._rest()

    async def _open(self, blueprint: Blueprint, opening: Opening) -> Executor:
        self._start(blueprint)
        process = await self._take()
        self._seat += 1
        executor = ProcessExecutor(process, self._seat, opening.session_id, self.released, alone=self._alone)
        await executor.open(opening, blueprint.factory_name, self._limits.close_timeout_s)
        return executor

    async def aclose(self) -> None:
        """End every process. What still closes an environment, after a call that came late, has its time for that."""
        self._stays = False
        late = [process.exited for process in self._used if self._alone]
        if late:
            await asyncio.wait(late, timeout=self._limits.close_timeout_s)
        await self._end()
        if self._endings:
            await asyncio.wait(self._endings)

    @property
    def _alone(self) -> bool:
        return self.options.sessions_per_process == 1

    def _start(self, blueprint: Blueprint) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop and self._fork_server is not None:
            # The app is served again, by another loop: the processes of the first are of no use here.
            self._fork_server.discard()
            self._forget()
        if self._fork_server is None:
            self._loop, self._blueprint = loop, blueprint
            transfer, forked = transfer_for(blueprint, self.options)
            _allow_descriptors(2 * self._most)
            fork_server = ForkServerClient(transfer, forked=forked, lost=self._forget, kind=self._kind)
            fork_server.start()
            self._fork_server = fork_server

    @property
    def _most(self) -> int:
        """Processes that there may be."""
        return -(-self._limits.max_sessions // self.options.sessions_per_process)

    def _forget(self) -> None:
        self._fork_server = None
        self._spare.clear()
        self._used.clear()
        self._forking = 0

    async def _take(self) -> Process:
        most = self.options.sessions_per_process
        for process in self._used:
            if not process.tainted and process.crash is None and len(process.users) < most:
                return process
        while self._spare:
            process = self._spare.popleft()
            if process.crash is None and not process.dying:
                break
        else:
            process = await self._forked()
        self._used.add(process)
        self._refill()
        return process

    async def _forked(self) -> Process:
        waiter: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._refill()
        try:
            async with asyncio.timeout(self._limits.create_timeout_s):
                return await waiter
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It came in the very turn in which the wait was given up.
                self._keep(waiter.result())
            raise

    def _refill(self) -> None:
        """Ask for the processes that are waited for, and for the spare ones that are missing and have room."""
        if self._fork_server is None:
            return
        room = self._most - len(self._used)
        wanted = max(min(self.options.spare_processes, room - len(self._waiting)), 0) + len(self._waiting)
        wanted -= len(self._spare)
        while self._forking < wanted:
            self._forking += 1
            self._fork_server.fork(self._arrived, self._did_not_arrive)

    def _arrived(self, pid: int, sock: socket.socket, stderr: int) -> None:
        assert self._fork_server is not None and self._blueprint is not None
        self._forking -= 1
        self.started += 1
        process = Process(self._fork_server, pid, sock, stderr, self._buffer, debug=self._blueprint.debug)
        process.on_exit = self._on_exit
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(process)
                return
        self._keep(process)

    def _did_not_arrive(self, error: OSError) -> None:
        self._forking = max(0, self._forking - 1)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error)
                return

    def _keep(self, process: Process) -> None:
        """Keep an unused process, if there is to be one more spare."""
        if len(self._spare) < max(1, self.options.spare_processes) and not process.tainted:
            self._spare.append(process)
        else:
            process.kill()

    def _on_exit(self, process: Process) -> None:
        self._used.discard(process)
        with contextlib.suppress(ValueError):
            self._spare.remove(process)
            assert process.crash is not None
            logger.warning("a spare process has ended: %s", process.crash.message)
            process.unexpected = not process.dying
        self.crashed += process.unexpected
        self.killed += bool(process.why)
        self._refill_after(process)

    def _refill_after(self, process: Process) -> None:
        # One that had a session made room. One that had none may be followed by others that end the same way.
        if process.users:
            self._refill()

    async def released(self, process: Process) -> None:
        """Take a place back from a session. `ProcessExecutor` calls it."""
        if not process.users and not self._alone and process in self._used:
            self._used.discard(process)
            if process.crash is None:
                self._keep(process)
        await self._rest()

    async def _rest(self) -> None:
        """Without a lifespan to end them, processes end when no session is left."""
        if not self._stays and not self._opening and not self._used and self._fork_server is not None:
            ending = asyncio.get_running_loop().create_task(self._end(), name="openenv processes end")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)

    async def _end(self) -> None:
        fork_server = self._fork_server
        if fork_server is not None:
            self._forget()
            await fork_server.aclose()

    def _impossible(self, blueprint: Blueprint, error: BaseException) -> FactoryError:
        logger.error("no process for an environment of %s: %s", blueprint.name, error)
        return FactoryError(
            f"no process can be started for the environment: {type(error).__name__}; see the server's log",
            factory_name=blueprint.factory_name,
        )


def _allow_descriptors(more: int) -> None:
    """Raise this process's own limit, as far as the system lets it, so that there is room for `more` descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = more + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
