"""The image `openenv-base`: Python, the runtime, a user without rights and a health check, to build environments on.

It is not in any registry, so it is built when a Dockerfile starts from it and the
engine does not have it, or has one built from another version of the runtime. The
caller provides its Dockerfile and files.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from openenv_async.images.build import DIGEST_LABEL, BuildRequest, BuiltImage, build_image
from openenv_async.images.context import BuildContext
from openenv_async.images.dockerfile import Dockerfile
from openenv_async.images.progress import OnProgress, ignore

BASE_NAME = "openenv-base"


def wants_base(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> bool:
    """Return whether a Dockerfile starts from `openenv-base`, with these build arguments."""
    return any(image in (BASE_NAME, f"{BASE_NAME}:latest") for image in dockerfile.images(arguments))


async def ensure_base(
    docker: Docker,
    context: BuildContext,
    arguments: Mapping[str, str],
    *,
    pull: bool = False,
    platform: str | None = None,
    on_progress: OnProgress = ignore,
) -> BuiltImage | None:
    """Build `openenv-base` unless the engine has it.

    Args:
        docker: the engine.
        context: what it is built from.
        arguments: build arguments; those that its Dockerfile does not declare are left out.
        pull: build it again, on a fresh copy of its base image.
        platform: the kind of machine, e.g. `linux/arm64`.
        on_progress: receives the events of the build.

    Returns:
        The image that was built; `None` when there was one.

    Raises:
        BuildFailed: it could not be built.
    """
    if not pull and await _is_there(docker, context):
        return None
    text = context.overlay.get(context.dockerfile) or (context.folder / context.dockerfile).read_bytes()
    dockerfile = Dockerfile(text.decode())
    declared = {name: value for name, value in arguments.items() if dockerfile.declares(name)}
    request = BuildRequest(
        context=context, tag=f"{BASE_NAME}:latest", build_args=declared, pull=pull, platform=platform
    )
    return await build_image(docker, request, on_progress)


async def _is_there(docker: Docker, context: BuildContext) -> bool:
    try:
        image = await docker.images.inspect(f"{BASE_NAME}:latest")
    except DockerError as error:
        if error.status == 404:
            return False
        raise
    made_of = (image.get("Config", {}).get("Labels") or {}).get(DIGEST_LABEL)
    if made_of is None:
        return True  # not built by this package
    archive = context.write()
    archive.close()
    return bool(made_of == archive.digest)
