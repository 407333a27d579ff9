"""One session's process, or several sessions', as the server sees it: what it says and how it ends.

`pool` makes them and places sessions in them; `executors.process` is one session.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from openenv_async.errors import EnvironmentCrashed
from openenv_async.runtime.processes import logs, messages
from openenv_async.runtime.processes.fork_server_client import ForkServerClient
from openenv_async.runtime.processes.ipc import ProcessChannel
from openenv_async.runtime.processes.messages import ChildReply, LogLine

MOST_LINES = 20
MOST_CHARACTERS = 4096

_FATAL = "Fatal Python error"
_FOLDERS = re.compile(r"(?<![\w.])~?/(?:[^\s/\"':;,()<>]+/)+")


class Stderr:
    """The end of what a process wrote, kept for the error; all of it goes on to this process's stderr."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._line = ""
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._fatal: list[str] | None = None

    def feed(self, data: bytes) -> None:
        """Take what was read; lines are written on when they are whole."""
        *whole, rest = (self._line + self._decode(data)).split("\n")
        if len(rest) > MOST_CHARACTERS:
            whole, rest = [*whole, rest], ""
        self._line = rest
        self._take(whole)

    def finish(self) -> None:
        """Take the last line, though nothing ended it."""
        if self._line:
            whole, self._line = [self._line], ""
            self._take(whole)

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith(_FATAL):
                self._fatal = []
            if self._fatal is None:
                self._lines.append(line)
            elif len(self._fatal) < MOST_LINES:
                # The innermost frames come first, and matter most.
                self._fatal.append(line)
        if lines:
            try:
                sys.stderr.write("".join(line + "\n" for line in lines))
                sys.stderr.flush()
            except (OSError, ValueError, AttributeError):  # the server's is closed: it is not read any more
                return

    def text(self, *, debug: bool) -> str:
        """Return the last lines; without `debug` only what any peer may see."""
        lines = self._fatal or list(self._lines)
        text = "\n".join(lines if debug else _for_peers(lines))
        return text[:MOST_CHARACTERS] if self._fatal else text[-MOST_CHARACTERS:]


def _for_peers(lines: list[str]) -> list[str]:
    """Leave out the frames of tracebacks, and the folders of paths."""
    kept, in_frames = [], False
    for line in lines:
        in_frames = in_frames and line.startswith(" ")
        if not in_frames:
            kept.append(_FOLDERS.sub("", line))
            in_frames = "(most recent call " in line
    return kept


def how_it_ended(status: int | None) -> tuple[str, dict[str, Any]]:
    """Put a wait status into words, and into the details of an error."""
    if status is None:
        return "ended", {}
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}", {"exit_code": code}
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}", {"signal": name}


def crashed(status: int | None, stderr: str, why: str = "") -> EnvironmentCrashed:
    """Return the error for the session that used the process."""
    words, details = how_it_ended(status)
    because = f" ({why})" if why else ""
    last = f": {stderr.strip().splitlines()[0]}" if stderr.startswith(_FATAL) else ""
    return EnvironmentCrashed(
        f"the environment's process {words}{because}{last}; the session is broken: call reset() for a fresh one",
        **details,
        stderr=stderr,
    )


_READ = 64 * 1024
_LAST_READS = 16
_LINGER_S = 2.0


class ProcessUser(Protocol):
    """A session in a process; `Process.users` has it by its number."""

    def heard(self, reply: ChildReply) -> None:
        """Receive a message of the process for this session."""

    def crashed(self) -> None:
        """The process has ended; `Process.crash` says how."""


class Process:
    """A process that lives until it ends by itself or is killed.

    Args:
        fork_server: where it came from.
        pid: its number.
        sock: the server's end of its socket.
        stderr: a descriptor to read.
        buffer: see `ProcessChannel`.
        debug: whether peers may see all of what it wrote at last.
    """

    def __init__(
        self,
        fork_server: ForkServerClient,
        pid: int,
        sock: socket.socket,
        stderr: int,
        buffer: memoryview,
        *,
        debug: bool,
    ) -> None:
        self._fork_server, self.pid, self._debug = fork_server, pid, debug
        self.users: dict[int, ProcessUser] = {}
        self.crash: EnvironmentCrashed | None = None
        """How it ended; None while it lives."""
        self.tainted = False
        """A call hung in it: it takes no new sessions."""
        self.dying = False
        """It is being killed."""
        self.unexpected = False
        """It ended by itself while a session was in it."""
        self.on_exit: Callable[[Process], None] | None = None
        self._why = ""
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self._channel = ProcessChannel(sock, self._heard, self._lost, buffer)
        self.send = self._channel.send
        self._stderr, self._kept = stderr, Stderr()
        os.set_blocking(stderr, False)
        self._loop.add_reader(stderr, self._on_stderr)
        fork_server.watch(pid, self._on_exit)

    def kill(self, why: str = "") -> None:
        """Kill it and what it started; `exited` says when that is done."""
        if self.crash is None:
            self.tainted = self.dying = True
            self._why = self._why or why
            self._fork_server.kill(self.pid)

    @property
    def why(self) -> str:
        """What it was killed for; empty: it was not, or was not needed any longer."""
        return self._why

    async def ended(self) -> None:
        """Wait until it has ended, as it is about to; it is killed when it does not."""
        if not self.exited.done():
            timer = self._loop.call_later(_LINGER_S, self.kill)
            await asyncio.shield(self.exited)
            timer.cancel()

    def _heard(self, message: bytes) -> None:
        reply = messages.read_reply(message)
        if reply.kind == messages.LOG:
            logs.relog(msgspec.msgpack.decode(reply.payload, type=LogLine), self.pid)
            return
        user = self.users.get(reply.number)
        if user is not None:
            user.heard(reply)

    def _lost(self) -> None:
        # It ends, or it has closed the socket and can be of no more use.
        self._loop.call_later(_LINGER_S, self.kill, "it closed its connection to the server")

    def _on_stderr(self) -> None:
        if self._read_stderr() == 0:
            self._loop.remove_reader(self._stderr)

    def _read_stderr(self) -> int:
        """Do one read; gives how much it was: 0 at the end, -1 when nothing is there."""
        try:
            data = os.read(self._stderr, _READ)
        except BlockingIOError:
            return -1
        self._kept.feed(data)
        return len(data)

    def _on_exit(self, status: int | None) -> None:
        # What it said last is still in the socket and the pipe.
        self._channel.drain()
        self._channel.close()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._stderr)
        for _ in range(_LAST_READS):
            if self._read_stderr() <= 0:
                break
        os.close(self._stderr)
        self._kept.finish()
        self.crash = crashed(status, self._kept.text(debug=self._debug), self._why)
        for user in list(self.users.values()):
            user.crashed()
        if not self.exited.done():
            self.exited.set_result(None)
        if self.on_exit is not None:
            self.on_exit(self)
