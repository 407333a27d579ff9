"""Starts the environment's server to check it, and checks that it stops cleanly.

Owns one server's whole life, from `start` to `stop`: as a process of this machine,
or in a container. Nothing that was started here outlives the check, however it ends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx

from openenv_async.conformance.findings import CheckOutcome, failed, warned
from openenv_async.conformance.project.subprocesses import to_its_end
from openenv_async.conformance.runner import Runner
from openenv_async.conformance.server.checks import NAMES, check_running
from openenv_async.conformance.target import ServerTarget
from openenv_async.providers.base import BaseProvider
from openenv_async.providers.local import LocalProcessProvider

GRACE_S = 1
"""Seconds for calls in flight when the server stops: there are none by then."""

KILLED_AFTER_S = 10.0
"""Seconds that the provider gives a container before the engine kills it."""

SLOTS = 2
"""Sessions that the server may hold: few, so that a slot that is not freed is noticed."""


class WatchedProcess(LocalProcessProvider):
    """A server process whose exit code and last output can be read."""

    exit_code: int | None = None

    @property
    def output(self) -> tuple[str, ...]:
        """The last lines of its output."""
        return tuple(self._log)

    async def stop(self) -> None:
        process = self._process
        await super().stop()
        if process is not None:
            self.exit_code = process.returncode


async def check_process(folder: Path, runner: Runner, max_sessions: int | None, timeout_s: float) -> None:
    """Serve a folder in a child process, and run every check against it.

    Args:
        folder: the environment's.
        runner: takes the findings.
        max_sessions: what the app itself holds; None where that is not known.
        timeout_s: seconds for the whole.
    """
    token = secrets.token_urlsafe(16)
    slots = None if max_sessions is None else min(max_sessions, SLOTS)
    options = ("--grace", str(GRACE_S), *(("--max-sessions", str(slots)) if slots else ()))
    # A token of this run's own: no other client plays, and this process's own token is not passed on.
    provider = WatchedProcess(folder, env={"OPENENV_TOKEN": token}, options=options, start_timeout_s=timeout_s)
    runner.log = lambda: provider.output
    target = ServerTarget(
        url="", token=token, call_timeout_s=call_timeout_s(timeout_s), max_sessions=slots, started_here=True
    )
    await _check_started(provider, runner, target, lambda url, took_s: _process_stopped(provider, url, took_s))


async def check_container(image: str, port: int, runner: Runner, timeout_s: float) -> None:
    """Run an image in a container, and run every check against its server.

    Args:
        image: its name.
        port: where the server listens inside.
        runner: takes the findings.
        timeout_s: seconds for the whole.
    """
    from openenv_async.providers.docker import DockerProvider

    token = secrets.token_urlsafe(16)
    provider = DockerProvider(
        image, container_port=port, env={"OPENENV_TOKEN": token}, start_timeout_s=min(timeout_s, 120.0)
    )
    runner.log = tuple
    target = ServerTarget(url="", token=token, call_timeout_s=call_timeout_s(timeout_s), started_here=True)
    await _check_started(provider, runner, target, _container_stopped)


def call_timeout_s(timeout_s: float) -> float:
    """Return the seconds that one call of a run may take: one that hangs must leave time to report it."""
    return max(1.0, min(30.0, timeout_s / 4))


async def _check_started(
    provider: BaseProvider,
    runner: Runner,
    target: ServerTarget,
    stopped: Callable[[str, float], Awaitable[CheckOutcome]],
) -> None:
    urls: list[str] = []
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        # One task for both callers: a provider whose stop() was cancelled does not wait for it a second time.
        if not ending:
            ending.append(asyncio.create_task(provider.stop(), name="end of a server of the validator"))
        await to_its_end(ending[0])

    async def start() -> CheckOutcome:
        began = time.monotonic()
        urls.append(await provider.start())
        return CheckOutcome(f"the server was healthy {time.monotonic() - began:.1f} s after its start")

    async def stop() -> CheckOutcome:
        began = time.monotonic()
        await end()
        return await stopped(urls[0], time.monotonic() - began)

    try:
        if not await runner.run("start", start):
            runner.skip((*NAMES, "stop"), "it needs start, which did not succeed")
            return
        await check_running(replace(target, url=urls[0]), runner)
        await runner.run("stop", stop)
    finally:
        await end()


async def _process_stopped(provider: WatchedProcess, url: str, took_s: float) -> CheckOutcome:
    if provider.exit_code != 0:
        text = f"the server ended with exit code {provider.exit_code} after {took_s:.1f} s"
        return failed(text, "does close() of the environment end?", *provider.output[-10:])
    try:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            await client.get(f"{url}/health")
        return failed("the server still answers after it was stopped", "end every process that the environment starts")
    except httpx.HTTPError:
        pass
    last = (line for line in provider.output if line.startswith(("Stopped.", "Error:")) and "Left behind" in line)
    if left := next(last, None):
        return warned(left, "end every thread of the environment in close()")
    return CheckOutcome(f"the server stopped by itself within {took_s:.1f} s")


async def _container_stopped(url: str, took_s: float) -> CheckOutcome:
    if took_s > KILLED_AFTER_S:
        return warned(f"the container had to be killed after {took_s:.0f} s", "does its server handle SIGTERM?")
    return CheckOutcome(f"the container stopped by itself within {took_s:.1f} s, and was removed")
