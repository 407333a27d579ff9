"""`openenv.core.containers.runtime.uv_provider`: a project served in a virtual environment that uv creates.

A project that declares this package runs `openenv serve`, any other uvicorn, as
OpenEnv's own projects do. `openenv_async.providers.local` owns processes, clones and
health.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

from openenv_async.compat.client.containers.providers import NotReady, RuntimeProvider, forget, keep
from openenv_async.compat.client.sync_async import run_blocking
from openenv_async.errors import ServerNotStarted
from openenv_async.providers.base import free_port
from openenv_async.providers.local import LocalProcessProvider, find_uv

_GIT = "git+"
_UNBOUNDED_S = 24 * 3600.0
"""No limit of its own: `wait_for_ready` has one."""


class _Project(LocalProcessProvider):
    """A project that uv runs as it declares."""

    def __init__(self, source: str, port: int, env: dict[str, str], serving: tuple[str, ...]) -> None:
        super().__init__(source, runner="uv", port=port, env=env, start_timeout_s=_UNBOUNDED_S)
        self._serving = serving

    def _arguments(self, folder: Path, port: int) -> list[str]:
        if _declares_us(folder):
            return super()._arguments(folder, port)
        uv = find_uv() or "uv"
        where = ("--port", str(port), "--app-dir", str(folder))
        return [uv, "run", "--isolated", "--project", str(folder), "--", "uvicorn", *self._serving, *where]


def _declares_us(folder: Path) -> bool:
    declared = folder / "pyproject.toml"
    if not declared.is_file():
        return False
    return re.search(r"""["']openenv[-_]async\b""", declared.read_text(encoding="utf-8", errors="replace")) is not None


class UVProvider(RuntimeProvider):
    """Runs a project with `uv run`.

    Args:
        project_path: its folder, or `git+https://host/repository`, which is cloned.
        app: its ASGI app.
        host: the address to listen on.
        reload: restart when a file changes.
        env_vars: variables of the server.
        context_timeout_s: seconds until it must be healthy, by default, in `wait_for_ready`.

    Raises:
        RuntimeError: uv is not installed.
    """

    def __init__(
        self,
        *,
        project_path: str,
        app: str = "server.app:app",
        host: str = "0.0.0.0",
        reload: bool = False,
        env_vars: dict[str, str] | None = None,
        context_timeout_s: float = 60.0,
    ) -> None:
        if find_uv() is None:
            raise RuntimeError("`uv` executable not found. Install it (pip install uv) and have it on the PATH")
        self.project_path = project_path if project_path.startswith(_GIT) else os.path.abspath(project_path)
        self.app, self.host, self.reload = app, host, reload
        self.env_vars, self.context_timeout_s = env_vars, context_timeout_s
        self._project: _Project | None = None
        self._starting: asyncio.Task[str] | None = None
        self._base_url: str | None = None

    @property
    def base_url(self) -> str:
        """The server's address.

        Raises:
            RuntimeError: it has not been started.
        """
        if self._base_url is None:
            raise RuntimeError("UVProvider has not been started")
        return self._base_url

    def start(self, port: int | None = None, env_vars: dict[str, str] | None = None, workers: int = 1, **_: Any) -> str:
        """Begin to start the server and return its URL; `wait_for_ready` waits for it.

        Args:
            port: where to listen; None: a free one.
            env_vars: further variables of the server.
            workers: how many processes serve.

        Raises:
            RuntimeError: it is running already.
        """
        if self._project is not None:
            raise RuntimeError("UVProvider is already running")
        port = port or free_port()
        serving = (self.app, "--host", self.host, "--workers", str(workers), *(["--reload"] if self.reload else []))
        project = _Project(self.project_path, port, (self.env_vars or {}) | (env_vars or {}), serving)

        async def begin() -> asyncio.Task[str]:
            return asyncio.get_running_loop().create_task(project.start(), name=f"openenv uv {self.project_path}")

        self._starting = run_blocking(begin, "UVProvider")
        self._project = project
        keep(project)
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        self._base_url = f"http://{host}:{port}"
        return self._base_url

    def wait_for_ready(self, timeout_s: float | None = None) -> None:
        """Return when the server is healthy.

        Args:
            timeout_s: seconds; None: `context_timeout_s`.

        Raises:
            TimeoutError: it is not by then; it keeps starting until `stop()`.
            RuntimeError: it has ended, with its last lines of output; or it was not started.
        """
        starting, limit_s = self._starting, self.context_timeout_s if timeout_s is None else timeout_s
        if starting is None:
            raise RuntimeError("UVProvider has not been started")

        async def wait() -> None:
            await asyncio.wait([starting], timeout=limit_s)
            if not starting.done():
                raise TimeoutError(f"Server did not become ready within {limit_s:.1f} seconds")
            try:
                starting.result()
            except ServerNotStarted as exc:
                raise NotReady(str(exc)) from exc

        run_blocking(wait, "UVProvider")

    def stop(self) -> None:
        """Stop the server and remove its clone; nothing happens when there is none."""
        project, self._project = self._project, None
        starting, self._starting = self._starting, None
        self._base_url = None
        if project is None or starting is None:
            return
        forget(project)

        async def end() -> None:
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                starting.exception()
            await project.stop()

        run_blocking(end, "UVProvider")
