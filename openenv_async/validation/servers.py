"""Starts the environment's server to examine it, and sees to it that it stops cleanly.

Owns one server's whole life, from `start` to `stop`: as a process of this machine,
or in a container. Nothing that was started here outlives the check, however it ends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from openenv_async.providers.base import BaseProvider
from openenv_async.providers.local import LocalProcessProvider
from openenv_async.validation.children import to_its_end
from openenv_async.validation.recorder import Recorder, Said, failed, warned
from openenv_async.validation.runtime import examine
from openenv_async.validation.subject import Subject

GRACE_S = 1
"""Seconds for calls in flight when the server stops: nobody plays it any longer."""

KILLED_AFTER_S = 10.0
"""Seconds that the provider gives a container before the engine kills it."""

PLACES = 2
"""Sessions that the server may hold: few, so that a place that is not given back is missed."""


class Watched(LocalProcessProvider):
    """A server process that tells how it ended."""

    exit_code: int | None = None

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines of its output."""
        return tuple(self._log)

    async def stop(self) -> None:
        """See `BaseProvider.stop`."""
        process = self._process
        await super().stop()
        if process is not None:
            self.exit_code = process.returncode


async def examine_process(folder: Path, recorder: Recorder, max_sessions: int | None, timeout_s: float) -> None:
    """Serve a folder in a child process, and run every check against it.

    Args:
        folder: the environment's.
        recorder: keeps what is found; it has been told the names.
        max_sessions: what the app itself holds; None where that is not known.
        timeout_s: seconds for the whole.
    """
    token = secrets.token_urlsafe(16)
    places = None if max_sessions is None else min(max_sessions, PLACES)
    options = ("--grace", str(GRACE_S), *(("--max-sessions", str(places)) if places else ()))
    # A token of this run's: nobody else plays, and one in this process's variables goes nowhere.
    provider = Watched(folder, env={"OPENENV_TOKEN": token}, options=options, start_timeout_s=timeout_s)

    def subject(url: str) -> Subject:
        return Subject(url=url, token=token, call_timeout_s=call_timeout_s(timeout_s), max_sessions=places, mine=True)

    recorder.log = lambda: provider.last_words
    await _examine_started(provider, recorder, subject, lambda url, took: _stopped(provider, url, took))


async def examine_container(image: str, port: int, recorder: Recorder, timeout_s: float) -> None:
    """Run an image in a container, and run every check against its server.

    Args:
        image: its name.
        port: where the server listens inside.
        recorder: keeps what is found; it has been told the names.
        timeout_s: seconds for the whole.
    """
    from openenv_async.providers.docker import DockerProvider

    token = secrets.token_urlsafe(16)
    provider = DockerProvider(
        image, container_port=port, env={"OPENENV_TOKEN": token}, start_timeout_s=min(timeout_s, 120.0)
    )

    def subject(url: str) -> Subject:
        return Subject(url=url, token=token, call_timeout_s=call_timeout_s(timeout_s), mine=True)

    async def stopped(url: str, took_s: float) -> Said:
        if took_s > KILLED_AFTER_S:
            return warned(f"the container had to be killed after {took_s:.0f} s", "does its server heed SIGTERM?")
        return Said(sentence=f"the container stopped by itself within {took_s:.1f} s, and was removed")

    recorder.log = tuple
    await _examine_started(provider, recorder, subject, stopped)


def call_timeout_s(timeout_s: float) -> float:
    """Give the seconds that one call of a run may take: one that hangs must leave time to say so."""
    return max(1.0, min(30.0, timeout_s / 4))


async def _examine_started(
    provider: BaseProvider,
    recorder: Recorder,
    subject: Callable[[str], Subject],
    stopped: Callable[[str, float], Any],
) -> None:
    urls: list[str] = []
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        # One task, whoever asks: a provider that is cancelled while it stops has let go of what it stops.
        if not ending:
            ending.append(asyncio.create_task(provider.stop(), name="end of a server of the validator"))
        await to_its_end(ending[0])

    async def start() -> Said:
        began = time.monotonic()
        urls.append(await provider.start())
        return Said(sentence=f"the server was healthy {time.monotonic() - began:.1f} s after its start")

    async def stop() -> Said:
        began = time.monotonic()
        await end()
        said: Said = await stopped(urls[0], time.monotonic() - began)
        return said

    try:
        if not await recorder.run("start", start):
            for name in list(recorder.pending):
                await recorder.run(name, start, needs=["start"])
            return
        await examine(subject(urls[0]), recorder)
        await recorder.run("stop", stop)
    finally:
        await end()


async def _stopped(provider: Watched, url: str, took_s: float) -> Said:
    words = [line for line in provider.last_words if line.startswith(("Stopped.", "Error:"))]
    if provider.exit_code != 0:
        text = f"the server ended with exit code {provider.exit_code} after {took_s:.1f} s"
        return failed(text, "does close() of the environment end?", *provider.last_words[-10:])
    try:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            await client.get(f"{url}/health")
        return failed("the server still answers after it was stopped", "end every process that the environment starts")
    except httpx.HTTPError:
        pass
    left = [line for line in words if "Left behind" in line]
    if left:
        return warned(left[0], "end every thread of the environment in close()")
    return Said(sentence=f"the server stopped by itself within {took_s:.1f} s")
