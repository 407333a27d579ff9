"""The process that sessions' processes are forked from. It has no threads and no event loop, so that a fork is whole.

Owns its children: forks them, kills them by order, reaps them, ends what they leave
behind, and ends all of them when the server is gone. It is a fork of the server
itself, or, as `python -m openenv_async.runtime.processes.fork_server FD`, an interpreter of
its own in which the author's code is not imported. `fork_server_client` is the server's end.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Iterable
from typing import NoReturn

from openenv_async.runtime.processes import child_setup
from openenv_async.runtime.processes.blueprint_transfer import BlueprintTransfer
from openenv_async.runtime.processes.child_main import work
from openenv_async.runtime.processes.ipc import socket_pair

RECORD = struct.Struct("<Bqq")
"""Every message to and from the fork server: what, and two numbers."""

FORK, KILL = 1, 2
"""To it: fork a process under an id; kill a process by its pid."""

STARTED, NOT_STARTED, EXITED = 1, 2, 3
"""From it: id and pid, with the process's socket and stderr; id and errno; pid and wait status."""

_END_S = 5.0
_CHILDREN = "/proc/self/task/{}/children"


class ForkServer:
    """Serves one control socket until its other end is closed."""

    def __init__(self, control: socket.socket, transfer: BlueprintTransfer, kind: int | None) -> None:
        self._control, self._transfer, self._kind = control, transfer, kind
        self._children: set[int] = set()
        self._woken, self._waker = socket.socketpair()

    def serve(self) -> NoReturn:
        """Do what is asked. Never returns."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        # The handler does nothing: what matters is the byte that every signal writes.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        child_setup.adopt_orphans()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._woken.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                self._reap()
            if self._control.fileno() in ready:
                self._obey()

    def _obey(self) -> None:
        try:
            data = self._control.recv(RECORD.size)
        except OSError:
            data = b""
        if len(data) < RECORD.size:
            self._end()
        op, number, _ = RECORD.unpack(data)
        if op == FORK:
            self._fork(number)
        elif number in self._children:
            _kill(number)

    def _fork(self, number: int) -> None:
        ends: list[int] = []
        try:
            ours, theirs = socket_pair(self._kind)
            errors, stderr = ends = list(os.pipe())
            pid = os.fork()
        except OSError as error:
            for end in ends:
                os.close(end)
            self._tell(NOT_STARTED, number, error.errno or 0)
            return
        if pid == 0:
            self._be_born(theirs, stderr, (ours.fileno(), errors))
        theirs.close()
        os.close(stderr)
        self._children.add(pid)
        self._tell(STARTED, number, pid, (ours.fileno(), errors))
        ours.close()
        os.close(errors)

    def _be_born(self, sock: socket.socket, stderr: int, strangers: Iterable[int]) -> NoReturn:
        try:
            os.setsid()
            child_setup.live_no_longer_than(os.getppid())
            child_setup.adopt_orphans()
            child_setup.default_signals()
            child_setup.step_aside()
            child_setup.name("openenv-session")
            os.dup2(stderr, 2)
            for fd in (stderr, *strangers, self._control.fileno(), self._woken.fileno(), self._waker.fileno()):
                os.close(fd)
            child_setup.freeze()
            child_setup.fresh_streams()
            child_setup.fresh_seeds()
            contextvars.Context().run(work, sock, self._transfer)
        except BaseException:  # nothing of this process may go on in the fork server's frames
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(1)

    def _tell(self, what: int, number: int, more: int, fds: tuple[int, ...] = ()) -> None:
        record = RECORD.pack(what, number, more)
        try:
            if fds:
                socket.send_fds(self._control, [record], fds)
            else:
                self._control.sendall(record)
        except OSError:
            self._end()

    def _reap(self) -> None:
        while True:
            pid = _ended()
            if not pid:
                return
            # Before the process is reaped no other can have its number, nor its group's.
            known = pid in self._children
            if known:
                _kill(pid)
            status = os.waitpid(pid, 0)[1]
            self._children.discard(pid)
            self._end_orphans()
            if known:
                self._tell(EXITED, pid, status)

    def _end_orphans(self) -> None:
        """Kill what sessions' processes left behind: they adopt their own orphans, so these come from dead ones."""
        try:
            with open(_CHILDREN.format(os.getpid())) as listing:
                mine = {int(pid) for pid in listing.read().split()}
        except OSError:
            return
        for pid in mine - self._children:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _end(self) -> NoReturn:
        """The server is gone, or has no more use for any of this."""
        for pid in self._children:
            _kill(pid)
        until = time.monotonic() + _END_S
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < until:
                pid = os.waitpid(-1, os.WNOHANG)[0]
                self._children.discard(pid)
                self._end_orphans()
                if not pid:
                    time.sleep(0.001)
        os._exit(0)


def _ended() -> int:
    """Return a child that has ended and is not reaped yet; 0 when there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return 0 if found is None else found.si_pid


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        # One that was just forked has no group of its own yet.
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)


def become(control: socket.socket, transfer: BlueprintTransfer, kind: int | None) -> NoReturn:
    """Turn this process, freshly forked from the server, into a fork server."""
    try:
        child_setup.freeze()
        with contextlib.suppress(PermissionError):  # an interpreter of its own has a session already
            os.setsid()
        child_setup.default_signals()
        child_setup.name("openenv-forks")
        child_setup.close_strangers({control.fileno()})
        child_setup.no_input()
        contextvars.Context().run(ForkServer(control, transfer, kind).serve)
    except BaseException:  # the server's frames are above, and must not go on here
        traceback.print_exc()
    finally:
        os._exit(1)


def main(arguments: list[str]) -> NoReturn:
    """Be the fork server of a server that started this interpreter."""
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    transfer, kind = BlueprintTransfer.receive(control)
    become(control, transfer, kind)


if __name__ == "__main__":
    main(sys.argv[1:])
