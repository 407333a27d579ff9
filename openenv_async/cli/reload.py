"""`openenv serve --reload`: a supervisor that restarts the server process on changes.

The supervisor holds the listening sockets, so that a client that connects during a
restart waits instead of being refused; it imports no user code, so that every
process starts fresh. The server process ends when the supervisor does, however that
ends: it reads a pipe whose other end closes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from openenv_async.cli.errors import BadInput
from openenv_async.cli.manifest import shown
from openenv_async.cli.progress import is_quiet
from openenv_async.server.sockets import Listeners, url_of

if TYPE_CHECKING:
    from openenv_async.cli.serve_settings import ServeRequest
    from openenv_async.cli.targets import ServeTarget

POLL_S = 0.5
"""Seconds between two checks of the files."""

_KILL_AFTER_S = 15.0
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}

Snapshot = dict[str, tuple[int, int]]


def snapshot(folder: Path) -> Snapshot:
    """Return the *.py, *.yaml and pyproject.toml files below a folder, each with its time and size."""
    found: Snapshot = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        for name in files:
            if name.endswith((".py", ".yaml", ".yml")) or name == "pyproject.toml":
                path = os.path.join(root, name)
                with contextlib.suppress(OSError):  # gone between the two calls
                    status = os.stat(path)
                    found[path] = status.st_mtime_ns, status.st_size
    return found


def changed(before: Snapshot, after: Snapshot) -> list[Path]:
    """Return the files that differ, new and removed ones included."""
    return sorted(Path(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def supervise(request: ServeRequest, target: ServeTarget, listeners: Listeners) -> None:
    """Run server processes until SIGINT or SIGTERM.

    Raises:
        BadInput: the target has no files that could change.
    """
    if target.folder is None:
        raise BadInput(f"--reload has nothing to watch for {target.name}: leave it out")
    asyncio.run(_Supervisor(request, target.folder, listeners).run())


@dataclass(frozen=True, slots=True)
class Supervised:
    """What the supervisor passes to a server process."""

    fds: tuple[int, ...]
    """The listening sockets."""

    pipe: int
    """A pipe that is at its end when the supervisor has ended."""

    generation: int
    """0 for the first process."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str()` wrote."""
        fds, pipe, generation = text.split(":")
        return cls(tuple(int(fd) for fd in fds.split(",")), int(pipe), int(generation))

    def __str__(self) -> str:
        return f"{','.join(map(str, self.fds))}:{self.pipe}:{self.generation}"

    def take_over(self, request: ServeRequest) -> Listeners:
        """Take over the sockets, and end this process with its supervisor. Call it before anything is imported."""
        # The supervisor handles Ctrl-C. Not SIG_IGN, which programs of the environment would inherit.
        signal.signal(signal.SIGINT, lambda *_: None)
        os.set_inheritable(self.pipe, False)
        threading.Thread(target=self._watch, name="supervisor watch", daemon=True).start()
        ours = Listeners.from_fds(self.fds, [])
        unix = request.asked("unix")
        if unix is not None:
            ours.urls.append(f"unix:{unix.absolute()}")
        else:
            ours.urls.append(url_of(request.value("host"), ours.sockets[0].getsockname()[1]))
        return ours

    def _watch(self) -> None:
        if not os.read(self.pipe, 1):
            os.kill(os.getpid(), signal.SIGTERM)


class _Supervisor:
    def __init__(self, request: ServeRequest, folder: Path, listeners: Listeners) -> None:
        self._request = request
        self._folder = folder
        self._listeners = listeners
        self._stop = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._ending: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for kind in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(kind, self._on_signal)
        generation = 0
        try:
            while not self._stop.is_set():
                seen = await asyncio.to_thread(snapshot, self._folder)
                await self._start(generation)
                files = await self._until_change(seen)
                if files:
                    click.echo(f"Changed: {', '.join(shown(file) for file in files[:3])}. Restarting.")
                await self._end()
                generation += 1
        finally:
            await self._end()
        click.echo("Stopped.")

    async def _start(self, generation: int) -> None:
        # Its other end stays in this process alone: it closes when this process ends, however it ends.
        theirs, self._lifeline = os.pipe()
        fds = tuple(sock.fileno() for sock in self._listeners.sockets)
        try:
            self._child = await asyncio.create_subprocess_exec(
                *_command(self._request, Supervised(fds, theirs, generation)),
                pass_fds=(*fds, theirs),
                env=_environment(self._request),
            )
        finally:
            os.close(theirs)

    async def _until_change(self, seen: Snapshot) -> list[Path]:
        """Wait for a change or for the signal; return an empty list for the signal."""
        assert self._child is not None
        exited = asyncio.create_task(self._child.wait())
        stopped = asyncio.create_task(self._stop.wait())
        told = False
        try:
            while not self._stop.is_set():
                if exited.done() and not told:
                    told = True
                    click.echo(f"The server ended with code {exited.result()}. Waiting for a change.", err=True)
                waiting = {stopped} if told else {stopped, exited}
                await asyncio.wait(waiting, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
                files = changed(seen, await asyncio.to_thread(snapshot, self._folder))
                if files:
                    return files
            return []
        finally:
            stopped.cancel()
            exited.cancel()

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._terminate(child)
            try:
                await asyncio.wait_for(child.wait(), self._request.value("grace") + _KILL_AFTER_S)
            except TimeoutError:
                child.kill()
                await child.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def _on_signal(self) -> None:
        if self._stop.is_set() and self._ending is not None:
            # The second one: the server's handler was good for one signal, so this ends it at once.
            self._terminate(self._ending)
        self._stop.set()

    def _terminate(self, child: asyncio.subprocess.Process) -> None:
        self._ending = child
        with contextlib.suppress(ProcessLookupError):
            child.terminate()


def _command(request: ServeRequest, supervised: Supervised) -> list[str]:
    command = [sys.executable, "-m", "openenv_async.cli", *["--quiet"] * is_quiet(), "serve"]
    return [*command, *request.arguments, f"--supervised={supervised}", "--", request.target]


def _environment(request: ServeRequest) -> dict[str, str]:
    # Not as an argument, where every user of the machine can read it.
    token = request.asked("token")
    return dict(os.environ) | ({"OPENENV_TOKEN": token} if token else {})
