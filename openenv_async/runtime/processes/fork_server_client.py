"""The server's end of the fork server: starts it, asks it for processes, is told of their ends, and ends it.

Does not know what a process is for; `pool` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable

from openenv_async.runtime.processes import fork_server
from openenv_async.runtime.processes.blueprint_transfer import BlueprintTransfer
from openenv_async.runtime.processes.ipc import socket_pair

Started = Callable[[int, socket.socket, int], None]
"""Told of a new process: its pid, this end of its socket, and the descriptor of its stderr; both are the callee's."""

NotStarted = Callable[[OSError], None]


class ForkServerLost(OSError):
    """The process that forks the others has ended before it could fork this one; the next one can."""


_END_S = 6.0
_POLL_S = 0.002


class ForkServerClient:
    """One fork server. `start()`, then `fork()` and `kill()`; `aclose()` ends every process that is left.

    Args:
        transfer: what processes build environments from.
        forked: fork this process; else start an interpreter.
        lost: called when the fork server ended by itself.
        kind: the type of the sockets; None: the best that there is.
    """

    def __init__(
        self, transfer: BlueprintTransfer, *, forked: bool, lost: Callable[[], None], kind: int | None = None
    ) -> None:
        self._transfer, self._forked, self._lost, self._kind = transfer, forked, lost, kind
        self._asked: dict[int, tuple[Started, NotStarted]] = {}
        self._watched: dict[int, Callable[[int | None], None]] = {}
        self._unsent: deque[bytes] = deque()
        self._number = 0
        self._closing = False

    def start(self) -> None:
        """Start the fork server; takes as long as a fork or the start of a process does.

        Raises:
            OSError: the system allows no more processes.
        """
        ours, theirs = socket_pair(self._kind)
        try:
            self._pid = self._fork_self(theirs) if self._forked else self._start_interpreter(ours, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._control = ours
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours.fileno(), self._on_readable)

    def _fork_self(self, control: socket.socket) -> int:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # whatever a notebook or an author has put there
                stream.flush()
        with warnings.catch_warnings():
            # That of Python 3.12 about threads: `transfer_for` has judged those.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            fork_server.become(control, self._transfer, self._kind)
        return pid

    def _start_interpreter(self, ours: socket.socket, theirs: socket.socket) -> int:
        command = [sys.executable, "-m", fork_server.__name__, str(theirs.fileno())]
        place = os.path.abspath(os.path.join(os.path.dirname(fork_server.__file__), *[os.pardir] * 3))
        path = os.pathsep.join(filter(None, (place, os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        # It is reaped here, by its pid, as a forked one is.
        process.returncode = 0
        self._transfer.send(ours, self._kind)
        return process.pid

    def fork(self, started: Started, not_started: NotStarted) -> None:
        """Ask for a process; one of the two is called, soon."""
        self._number += 1
        self._asked[self._number] = (started, not_started)
        self._send(fork_server.RECORD.pack(fork_server.FORK, self._number, 0))

    def watch(self, pid: int, exited: Callable[[int | None], None]) -> None:
        """Have `exited` called with the wait status of a process when it has ended; None where it is not known."""
        self._watched[pid] = exited

    def kill(self, pid: int) -> None:
        """Kill a process and those it started. Does nothing when it has ended."""
        if pid in self._watched:
            self._send(fork_server.RECORD.pack(fork_server.KILL, pid, 0))

    async def aclose(self) -> None:
        """End the fork server, which kills what is left; returns when it is gone."""
        if self._closing:
            return
        self._closing = True
        self._hang_up()
        await self._until_reaped()
        self._forget()

    def discard(self) -> None:
        """End the fork server without a loop to wait on; it is not reaped unless it is quick."""
        self._closing = True
        self._hang_up()
        self._reaped()
        self._watched.clear()

    def _send(self, record: bytes) -> None:
        if self._closing:
            return
        self._unsent.append(record)
        if len(self._unsent) == 1 and not self._flush():
            self._loop.add_writer(self._control.fileno(), self._on_writable)

    def _flush(self) -> bool:
        try:
            while self._unsent:
                self._control.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            return False
        except OSError:  # reading tells that it is gone
            self._unsent.clear()
        return True

    def _on_writable(self) -> None:
        if self._flush():
            self._loop.remove_writer(self._control.fileno())

    def _on_readable(self) -> None:
        size = fork_server.RECORD.size
        try:
            data, fds, _, _ = socket.recv_fds(self._control, size, 2, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if len(data) < size:
            self._on_lost()
            return
        what, number, more = fork_server.RECORD.unpack(data)
        if what == fork_server.STARTED:
            self._on_started(number, more, fds)
        elif what == fork_server.NOT_STARTED:
            self._asked.pop(number)[1](OSError(more, os.strerror(more)))
        else:
            exited = self._watched.pop(number, None)
            if exited is not None:
                exited(more)

    def _on_started(self, number: int, pid: int, fds: list[int]) -> None:
        started, not_started = self._asked.pop(number)
        if len(fds) < 2:
            # This process may have no more descriptors; the new one ends, as its socket is closed.
            for fd in fds:
                os.close(fd)
            not_started(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        started(pid, socket.socket(fileno=fds[0]), fds[1])

    def _on_lost(self) -> None:
        """The fork server was killed; where the system does not end its children, and for what they started, do it."""
        self._closing = True
        self._hang_up()
        for pid in self._watched:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        self._reaping = self._loop.create_task(self._until_reaped(), name="openenv reap")
        self._forget()
        self._lost()

    async def _until_reaped(self) -> None:
        # No signal tells it on every loop and platform, and it is a matter of milliseconds.
        for _ in range(round(_END_S / _POLL_S)):
            if self._reaped():
                return
            await asyncio.sleep(_POLL_S)

    def _forget(self) -> None:
        watched, self._watched = self._watched, {}
        for exited in watched.values():
            exited(None)
        asked, self._asked = self._asked, {}
        for _, not_started in asked.values():
            not_started(ForkServerLost("the process that forks the others has ended"))

    def _hang_up(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._control.fileno())
            self._loop.remove_writer(self._control.fileno())
        self._control.close()

    def _reaped(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True
