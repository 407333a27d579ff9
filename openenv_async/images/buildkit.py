"""Detects Dockerfiles that need BuildKit, and finds the docker command that builds them.

The API that aiodocker speaks builds with the classic builder. A Dockerfile that
needs BuildKit is built by the docker command line tool if it can, and is otherwise
refused with an error that names the line. podman needs neither: its own builder reads
these Dockerfiles.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping, Sequence

from openenv_async.images.dockerfile import Dockerfile

_FLAGS = {
    "RUN": ("--mount", "--network", "--security"),
    "COPY": ("--link", "--parents", "--exclude", "--chmod"),
    "ADD": ("--link", "--parents", "--exclude", "--chmod", "--checksum", "--keep-git-dir"),
}
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?\s*([\"']?)[A-Za-z_]\w*\1(?:\s|$)")
_PLATFORMS = re.compile(r"\$\{?(?:BUILD|TARGET)PLATFORM\b")
_ANSWER_TIMEOUT_S = 30.0


def needs_buildkit(dockerfile: Dockerfile) -> tuple[int, str] | None:
    """Return the first line that needs BuildKit, and its text; `None` when the classic builder is enough."""
    syntax = dockerfile.directives.get("syntax")
    # Many files name Docker's own frontend, which alone does not need BuildKit.
    if syntax and not re.fullmatch(r"(?:docker\.io/)?docker/dockerfile(?:[:@].*)?", syntax):
        line = next(n for n, text in enumerate(dockerfile.text.splitlines(), 1) if syntax in text)
        return line, f"# syntax={syntax}"
    for each in dockerfile.instructions:
        flags = re.match(r"(?:--\S+\s+)*", each.rest)
        for flag in flags[0].split() if flags else ():
            name = flag.partition("=")[0]
            if name in _FLAGS.get(each.word, ()):
                return each.line, f"{each.word} {name}"
        if each.word in _FLAGS and (heredoc := _HEREDOC.search(each.rest)):
            return each.line, f"{each.word} {heredoc[0].strip()}"
        if each.word == "FROM" and (platform := _PLATFORMS.search(each.rest)):
            return each.line, f"FROM --platform={platform[0]}"
    return None


async def find_tool() -> Sequence[str] | None:
    """Return the command that builds with BuildKit: docker with buildx, or an old docker that includes it."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    if await _answer(docker, "buildx", "version") is not None:
        return (docker, "buildx", "build", "--load")
    version = await _answer(docker, "version", "--format", "{{.Client.Version}}")
    major = re.match(r"\d+", version or "")
    # Since version 23 BuildKit needs buildx.
    return (docker, "build") if major and 18 < int(major[0]) < 23 else None


def command(
    tool: Sequence[str],
    *,
    tag: str,
    dockerfile: str,
    build_args: Mapping[str, str],
    labels: Mapping[str, str],
    no_cache: bool,
    pull: bool,
    platform: str | None,
) -> list[str]:
    """Return the command line that builds from a context on its standard input."""
    words = [*tool, "--progress=plain", "--tag", tag, "--file", dockerfile]
    # Names only: the values are passed as environment variables, which a list of processes does not show.
    words += [word for name in build_args for word in ("--build-arg", name)]
    words += [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    words += ["--no-cache"] if no_cache else []
    words += ["--pull"] if pull else []
    words += ["--platform", platform] if platform else []
    return [*words, "-"]


async def _answer(*words: str) -> str | None:
    """Run a command and return its output; `None` when it fails."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            out, _ = await process.communicate()
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            return None
        raise
    # `docker version` without an engine fails, but still prints the client's version.
    return out.decode(errors="replace").strip() or None if process.returncode == 0 or out.strip() else None
