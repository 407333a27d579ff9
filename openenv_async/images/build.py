"""Builds an image from a context: through the engine's API, or with BuildKit where the Dockerfile needs it.

`context` writes the archive, `progress` reads the engine's output, `buildkit` detects
Dockerfiles that need it, `errors` has hints for the usual failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from openenv_async.images import buildkit
from openenv_async.images.context import Archive, BuildContext
from openenv_async.images.dockerfile import Dockerfile
from openenv_async.images.engine import find_engine, is_podman
from openenv_async.images.errors import BuildFailed, ContextError, build_hint
from openenv_async.images.names import parse_image_name
from openenv_async.images.progress import BuildKitReader, ClassicReader, OnProgress, Reader, ignore

DIGEST_LABEL = "openenv.context"
_SEND_BYTES = 256 * 1024
_END_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """An image to build, and the options of the build."""

    context: BuildContext
    tag: str
    build_args: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    platform: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltImage:
    """An image that the engine has."""

    tag: str
    id: str
    """`sha256:...`."""

    size: int
    """Bytes, as the engine counts them."""

    context_digest: str


async def build_image(docker: Docker, request: BuildRequest, on_progress: OnProgress = ignore) -> BuiltImage:
    """Build an image. The image has the digest of the context as a label: the same context has the same digest.

    Raises:
        InvalidImageName: container engines refuse the tag.
        ContextError: the files cannot be used, or the Dockerfile needs BuildKit, which is not installed.
        BuildFailed: a step failed.
    """
    tag = str(parse_image_name(request.tag))
    dockerfile = Dockerfile(_dockerfile_text(request.context))
    tool = await _tool(docker, dockerfile, request.context)
    archive = await asyncio.to_thread(request.context.write)
    try:
        request = replace(request, tag=tag, labels={**request.labels, DIGEST_LABEL: archive.digest})
        if tool is None:
            await _classic(docker, request, archive, on_progress)
        else:
            await _with_tool(tool, request, archive, on_progress)
    finally:
        archive.close()
    try:
        image = await docker.images.inspect(tag)
    except DockerError as error:
        raise BuildFailed(f"the engine reported that it built {tag}, but does not have it: {error.message}") from error
    return BuiltImage(tag=tag, id=str(image["Id"]), size=int(image["Size"]), context_digest=archive.digest)


def _dockerfile_text(context: BuildContext) -> str:
    path = context.folder / context.dockerfile
    try:
        data = context.overlay.get(context.dockerfile)
        return (path.read_bytes() if data is None else data).decode()
    except (OSError, UnicodeError) as error:
        raise ContextError(f"{path} cannot be read: {error}") from error


async def _tool(docker: Docker, dockerfile: Dockerfile, context: BuildContext) -> tuple[str, ...] | None:
    """Return the command that builds; `None` means the engine's API."""
    need = buildkit.needs_buildkit(dockerfile)
    if need is None or await is_podman(docker):
        return None
    tool = await buildkit.find_tool()
    if tool is None:
        line, what = need
        raise ContextError(
            f"{context.folder / context.dockerfile}:{line}: `{what}` needs BuildKit, and there is no docker command "
            "with buildx here: install docker-buildx, or write the line without it"
        )
    return tuple(tool)


async def _classic(docker: Docker, request: BuildRequest, archive: Archive, on_progress: OnProgress) -> None:
    reader = ClassicReader(on_progress)
    stream = docker.images.build(
        fileobj=archive.file,
        encoding="identity",
        path_dockerfile=request.context.dockerfile,
        tag=request.tag,
        nocache=request.no_cache,
        pull=request.pull,
        buildargs=request.build_args,
        labels=request.labels,
        platform=request.platform,
        forcerm=True,  # a failed step leaves no container behind
        stream=True,
    )
    try:
        async for item in stream:
            reader.feed(item)
    except (DockerError, aiohttp.ClientError, OSError, ValueError) as error:
        reader.ended()
        raise _failed(reader, error.message if isinstance(error, DockerError) else str(error)) from error
    reader.ended()
    if not reader.succeeded:
        raise _failed(reader, "the engine ended the connection before the image was built; is it still running?")


async def _with_tool(tool: tuple[str, ...], request: BuildRequest, archive: Archive, on_progress: OnProgress) -> None:
    words = buildkit.command(
        tool,
        tag=request.tag,
        dockerfile=request.context.dockerfile,
        build_args=request.build_args,
        labels=request.labels,
        no_cache=request.no_cache,
        pull=request.pull,
        platform=request.platform,
    )
    reader = BuildKitReader(on_progress)
    environment = {**os.environ, **request.build_args, "DOCKER_BUILDKIT": "1"}
    address = await find_engine()
    if address is not None:
        environment["DOCKER_HOST"] = address
    async with _running(words, environment) as process:
        sending = asyncio.create_task(_send(process, archive))
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(_SEND_BYTES):
                for line in reader.lines.feed(chunk.decode(errors="replace")):
                    reader.line(line)
            reader.ended()
            code = await process.wait()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    if code != 0:
        raise _failed(reader, f"{' '.join(tool[:2])} ended with exit code {code}")


@contextlib.asynccontextmanager
async def _running(words: list[str], environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *words,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_END_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _send(process: asyncio.subprocess.Process, archive: Archive) -> None:
    assert process.stdin is not None
    # The tool may end before it has read everything; its output then says why.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while chunk := archive.file.read(_SEND_BYTES):
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


def _failed(reader: Reader, reason: str) -> BuildFailed:
    step = reader.step
    where = f"step {step.number} of {step.total} failed, `{step.text}`: " if step else "the build failed: "
    output = tuple(reader.output)
    return BuildFailed(where + reason.strip(), output=output, hint=build_hint("\n".join((*output, reason))))
