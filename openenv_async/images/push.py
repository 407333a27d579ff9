"""Tags an image for a registry and pushes it there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from openenv_async.images.credentials import credentials_for
from openenv_async.images.engine import open_engine
from openenv_async.images.errors import PushFailed, push_hint
from openenv_async.images.names import DEFAULT_REGISTRY, ImageName, in_registry, parse_image_name
from openenv_async.images.progress import OnProgress, ignore, transfer


@dataclass(frozen=True, kw_only=True, slots=True)
class PushedImage:
    """An image that a registry has stored."""

    name: str
    """`localhost:5000/openenv-my:latest`."""

    digest: str
    """`sha256:...`: identifies exactly this image."""

    @property
    def pinned(self) -> str:
        """The name that always means this image: `localhost:5000/openenv-my@sha256:...`."""
        return f"{parse_image_name(self.name).without_tag}@{self.digest}"


async def push_image(
    image: str,
    registry: str | None = None,
    *,
    tag: str | None = None,
    engine: Docker | None = None,
    on_progress: OnProgress = ignore,
) -> PushedImage:
    """Tag an image for a registry and push it there.

    Args:
        image: its name here, e.g. `openenv-my`.
        registry: e.g. `localhost:5000` or `ghcr.io/my-org`; by default the one that `image` names.
        tag: the tag there; by default the image's own.
        engine: an open connection. By default one is opened.
        on_progress: receives the transfers of layers.

    Raises:
        InvalidImageName: no registry is named, or a name cannot be used.
        EngineUnavailable: no container engine answered.
        PushFailed: there is no such image, or the registry refused it.
    """
    here = parse_image_name(image)
    target = in_registry(here, registry, tag) if registry else _own(here, tag)
    async with contextlib.AsyncExitStack() as stack:
        docker = engine if engine is not None else await stack.enter_async_context(open_engine())
        try:
            await docker.images.tag(str(here), target.without_tag, tag=target.tag)
        except DockerError as error:
            raise PushFailed(
                f"the image {here} cannot be tagged as {target}: {error.message}",
                hint=f"build it first, with `openenv build -t {here}`" if error.status == 404 else None,
            ) from error
        return PushedImage(name=str(target), digest=await _push(docker, target, on_progress))


def _own(image: ImageName, tag: str | None) -> ImageName:
    if image.registry is not None:
        return parse_image_name(f"{image.without_tag}:{tag or image.tag}")
    return in_registry(image, DEFAULT_REGISTRY, tag)


async def _push(docker: Docker, target: ImageName, on_progress: OnProgress) -> str:
    registry = target.registry or DEFAULT_REGISTRY
    login = await credentials_for(registry)
    digest = ""
    try:
        stream = docker.images.push(target.without_tag, tag=target.tag, auth=dict(login), stream=True)
        async for item in stream:
            aux = item.get("aux")
            if isinstance(aux, dict) and aux.get("Digest"):
                digest = str(aux["Digest"])
            elif "status" in item:
                on_progress(transfer(item))
    except (DockerError, aiohttp.ClientError, OSError, ValueError) as error:
        reason = error.message if isinstance(error, DockerError) else str(error)
        raise PushFailed(
            f"{registry} did not take {target}: {reason.strip()}", hint=push_hint(reason, registry)
        ) from error
    if not digest:
        raise PushFailed(f"the engine ended the push of {target} before {registry} confirmed it", hint="push it again")
    return digest
