"""What the tests of providers share: an owner that can be killed, and processes that must be gone."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from pathlib import Path

from support.docker_fixtures import docker

from openenv_async.providers.container_labels import LABEL

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "examples" / "echo_env"
BOUND_S = 60.0


async def owner(code: str, **environment: str) -> tuple[asyncio.subprocess.Process, str]:
    """Run a program that prints one line when it has what it wants; give it and the line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(code),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), BOUND_S)
    assert line, "the owner ended before it had a server"
    return process, line.decode().strip()


async def until_refused(url: str) -> None:
    """Return when nobody listens at a URL any longer."""
    host, port = url.removeprefix("http://").split(":")
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return
            writer.close()
            # A poll of the outside world: there is nothing here that could be waited for.
            await asyncio.sleep(0.05)


def containers() -> list[str]:
    """The containers that providers have started and not removed."""
    return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}").split()
