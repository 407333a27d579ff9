"""A server as a process of this machine: from a folder, or from a git repository."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import anyio

from openenv_async.errors import ServerNotStarted
from openenv_async.providers.base import BaseProvider, free_port, wait_until_healthy

LOG_LINES = 40
"""Lines of the server's output that are kept for errors."""


class LocalProcessProvider(BaseProvider):
    """Runs `openenv serve` on an environment's folder in a child process.

    The child is stopped when this process ends for any reason: `supervisor` watches a pipe that this process holds.

    Args:
        source: the environment's folder, or `git+https://host/repository[@revision]`, which is cloned.
        runner: `"python"` uses this interpreter and what is installed for it; `"uv"` makes the project's own
            virtual environment from its `uv.lock` or `pyproject.toml`.
        port: where to listen on the loopback address; None finds a free port.
        env: variables for the server, besides this process's own.
        options: further options of `openenv serve`, e.g. `("--max-sessions", "64")`.
        start_timeout_s: seconds until it must be healthy; the first run of uv downloads what it needs.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        runner: Literal["python", "uv"] = "python",
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        start_timeout_s: float = 120.0,
    ) -> None:
        super().__init__()
        self._source = str(source)
        self._runner = runner
        self._port = port
        self._env = dict(env or {})
        self._options = tuple(options)
        self._start_timeout_s = start_timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._clone: Path | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)

    @property
    def clone(self) -> Path | None:
        """Where the git repository was cloned to, while there is a clone."""
        return self._clone

    async def start(self) -> str:
        if self._process is not None:
            raise ServerNotStarted("this provider has started a server already; stop() it first")
        try:
            async with asyncio.timeout(self._start_timeout_s):
                folder = await self._folder()
                port = self._port or free_port()
                await self._spawn(folder, port)
            url = f"http://127.0.0.1:{port}"
            await wait_until_healthy(url, self._start_timeout_s, self._still_alive)
        except TimeoutError:
            await self._undo()
            text = f"{self._source} was not ready to start within {self._start_timeout_s:g} s"
            raise ServerNotStarted(text, logs=self._logs()) from None
        except ServerNotStarted as exc:
            await self._undo()
            exc.details.setdefault("logs", self._logs())
            raise
        except BaseException:
            await self._undo()
            raise
        return url

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            # The supervisor stops the server within its own grace; this limit is for an overloaded machine.
            with anyio.move_on_after(30):
                await process.wait()
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.wait([reader], timeout=5)
            reader.cancel()
        clone, self._clone = self._clone, None
        if clone is not None:
            await asyncio.to_thread(shutil.rmtree, clone, ignore_errors=True)

    async def _undo(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.stop()

    async def _folder(self) -> Path:
        if not self._source.startswith("git+"):
            return _existing(self._source)
        address, _, revision = self._source.removeprefix("git+").partition("@")
        self._clone = Path(tempfile.mkdtemp(prefix="openenv-"))
        target = self._clone / (address.rstrip("/").rpartition("/")[2].removesuffix(".git") or "environment")
        await self._git("clone", "--quiet", *([] if revision else ["--depth", "1"]), "--", address, str(target))
        if revision:
            await self._git("-C", str(target), "checkout", "--quiet", revision, "--")
        return target

    async def _git(self, *arguments: str) -> None:
        if shutil.which("git") is None:
            raise ServerNotStarted(f"{self._source} needs git, which is not installed")
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # A repository that needs a password is an error, not a prompt in the terminal.
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )
        try:
            _, errors = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode:
            raise ServerNotStarted(f"git could not fetch {self._source}", logs=errors.decode(errors="replace"))

    async def _spawn(self, folder: Path, port: int) -> None:
        self._log.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "openenv_async.providers.supervisor"),
            *self._arguments(folder, port),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | self._env,
        )
        self._reader = asyncio.create_task(self._read(self._process), name="openenv server's output")

    def _arguments(self, folder: Path, port: int) -> list[str]:
        """Return the command line of the server. May be overridden."""
        where = ("serve", str(folder), "--host", "127.0.0.1", "--port", str(port))
        return [*self._command(folder), *where, *self._options]

    def _command(self, folder: Path) -> list[str]:
        if self._runner == "python":
            return [sys.executable, "-m", "openenv_async.cli"]
        uv = find_uv()
        if uv is None:
            raise ServerNotStarted('runner="uv" needs uv, which is not installed: pip install uv')
        return [uv, "run", "--quiet", "--project", str(folder), "python", "-m", "openenv_async.cli"]

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines of output; a full pipe would block the server."""
        assert process.stdout is not None  # it was asked for
        while line := await _line(process.stdout):
            self._log.append(line.decode(errors="replace").rstrip())

    async def _still_alive(self) -> None:
        process = self._process
        if process is not None and process.returncode is not None:
            if self._reader is not None:
                await asyncio.wait([self._reader], timeout=5)
            text = f"the server of {self._source} ended with exit code {process.returncode} before it was healthy"
            raise ServerNotStarted(text, exit_code=process.returncode, logs=self._logs())

    def _logs(self) -> str:
        return "\n".join(self._log)


def find_uv() -> str | None:
    """Return the path of uv: beside this interpreter, or on the PATH."""
    return shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def _existing(source: str) -> Path:
    folder = Path(source).expanduser().resolve()
    if not folder.is_dir():
        raise ServerNotStarted(f"{source} is not a folder; use an environment's folder or git+https://...")
    return folder


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # a line longer than the stream's buffer: return a part of it
        return await stream.read(65536)
