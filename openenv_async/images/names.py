"""Names of images: checked as container engines do, and the default name of an environment's image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from openenv_async.images.errors import InvalidImageName

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_HOST = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d+)?")
DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageName:
    """A checked `[registry/]repository[:tag]`."""

    registry: str | None
    """`localhost:5000`, `ghcr.io`; `None` when the name has none."""

    repository: str
    tag: str = "latest"

    @property
    def without_tag(self) -> str:
        """Registry and repository, as a push names them."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    def __str__(self) -> str:
        return f"{self.without_tag}:{self.tag}"


def parse_image_name(name: str) -> ImageName:
    """Check a name.

    Raises:
        InvalidImageName: container engines refuse it. The message proposes another.
    """
    if not name or name != name.strip():
        raise InvalidImageName(f"{name!r} is not the name of an image: use one such as openenv-my-env:v1")
    if "@" in name:
        raise InvalidImageName(f"{name} names an image by its digest; use a name and a tag, e.g. openenv-my-env:v1")
    head, slash, rest = name.partition("/")
    # Docker's rule: the first part is a host when it looks like one.
    has_host = bool(slash) and ("." in head or ":" in head or head == "localhost")
    registry, path = (head, rest) if has_host else (None, name)
    if registry is not None and not _HOST.fullmatch(registry):
        raise InvalidImageName(f"{name}: {registry!r} is not the host of a registry; write it as host or host:port")
    repository, colon, tag = path.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidImageName(
            f"{name}: {tag!r} is not a tag: letters, digits, '_', '.' and '-' are allowed, 128 at most, "
            "and neither '.' nor '-' at its beginning"
        )
    if not all(_COMPONENT.fullmatch(part) for part in repository.split("/")):
        raise InvalidImageName(_why(name, repository, path, registry))
    return ImageName(registry=registry, repository=repository, tag=tag if colon else "latest")


def _why(name: str, repository: str, path: str, registry: str | None) -> str:
    repaired = "/".join(filter(None, map(_repaired, repository.split("/")))) or "openenv-my-env"
    tag = path.removeprefix(repository)
    proposed = f"{registry}/{repaired}{tag}" if registry else f"{repaired}{tag}"
    if repository != repository.lower():
        return f"the image name {name} has capitals, which container engines refuse: try {proposed}"
    return (
        f"the image name {name} cannot be used: small letters and digits, with single '.', '_' or '-' between them, "
        f"are what engines take: try {proposed}"
    )


def _repaired(part: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-")


def default_name(environment: str) -> str:
    """Return the name of an environment's image: `openenv-my` for `my_env`."""
    stem = environment.removesuffix("_env")
    return f"openenv-{_repaired(stem) or 'env'}"


def in_registry(image: ImageName, registry: str, tag: str | None = None) -> ImageName:
    """Return the name of the same image in a registry, e.g. in `ghcr.io/my-org`.

    Raises:
        InvalidImageName: the registry or the tag cannot be used.
    """
    where = re.sub(r"^https?://", "", registry).strip("/")
    host, _, folder = where.partition("/")
    if not ("." in host or ":" in host or host == "localhost"):
        # `my-name` alone means an account on Docker Hub, as it does to docker itself.
        host, folder = DEFAULT_REGISTRY, where
    prefix = f"{folder}/" if folder else ""
    return parse_image_name(f"{host}/{prefix}{image.repository}:{tag or image.tag}")
