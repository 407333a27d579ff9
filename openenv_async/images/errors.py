"""Errors about images, one sentence each, and what to do about the known ones.

EnvError
└── ImageError
    ├── EngineUnavailable     no container engine answered
    ├── InvalidImageName      a name or tag that container engines refuse
    ├── ContextError          the files to build from, or the Dockerfile, cannot be used
    ├── BuildFailed           a step failed, or the engine gave up
    └── PushFailed            the registry refused, or could not be reached

The hints are chosen by the words of the engine, of uv, or of a registry.
"""

from __future__ import annotations

import re

from openenv_async.errors import EnvError


class ImageError(EnvError):
    """Base of the errors about images."""

    code = "IMAGE"


class EngineUnavailable(ImageError):
    """No container engine answered. The message says what to start."""

    retryable = True


class InvalidImageName(ImageError):
    """An image name or tag that container engines refuse."""

    fault = "task"


class ContextError(ImageError):
    """The files to build from, or the Dockerfile, cannot be used as they are."""

    fault = "task"


class BuildFailed(ImageError):
    """The build ended without an image.

    Args:
        message: what failed.
        output: the last lines that the failing step wrote.
        hint: what to do about it, when that is known.
    """

    def __init__(self, message: str, *, output: tuple[str, ...] = (), hint: str | None = None) -> None:
        """Store the message, the step's output and the hint."""
        super().__init__(message, output=output, hint=hint)
        self.output = output
        self.hint = hint


class PushFailed(ImageError):
    """The registry did not take the image."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Store the message and the hint."""
        super().__init__(message, hint=hint)
        self.hint = hint


_BUILD = (
    (r"no space left on device", "the engine's disk is full: free some (`docker system prune` drops what is unused)"),
    (
        r"certificate.verify.failed|UnknownIssuer|self[- ]signed certificate|unknown authority",
        "a certificate is not trusted inside the build: set SSL_CERT_FILE to this machine's bundle of certificates, "
        "which `openenv build` then takes along (the Dockerfile must read .openenv-build, as the template's does)",
    ),
    (
        r"hash(es)? mismatch|lockfile|uv\.lock|`uv lock`",
        "uv.lock does not fit pyproject.toml and wheels/: run `uv lock` and build again",
    ),
    (
        r"temporary failure in name resolution|could not resolve|dns error|name or service not known",
        "the build has no network or no name server: see whether the engine's containers reach the internet",
    ),
    (
        r"no matching distribution|no solution found|not found in the package registry|was not found in the provided",
        "a dependency is in no index that the build reaches: correct pyproject.toml, or name the index with "
        "PIP_INDEX_URL or UV_DEFAULT_INDEX",
    ),
    (
        r"pull access denied|manifest (for .* )?(unknown|not found)|repository .* not found|invalid reference format",
        "the image that the Dockerfile starts from cannot be had: correct FROM, log in with `docker login`, or choose "
        "another with --base-image",
    ),
    (
        r"(Get|Head) \"?https?://\S+.*(dial|timeout|timed out|EOF|refused|no such host|x509)|i/o timeout",
        "the registry of the image that the Dockerfile starts from cannot be reached: try later, or choose an image "
        "that is already here with --base-image",
    ),
    (
        r"(COPY|ADD) failed|no source files were specified|failed to compute cache key|failed to calculate checksum",
        "the Dockerfile copies what the context has not: is it missing, or named in .dockerignore?",
    ),
    (
        r"payload is not completed|not enough data|server disconnected|connection reset|ended the connection",
        "the engine went away: see that it runs (`docker info`), and build again",
    ),
    (r"exec format error", "the image is for another kind of processor: choose one with --platform"),
    (
        r"non-zero code: 137|exit code: 137|killed",
        "the step was killed, perhaps for want of memory: give the engine more",
    ),
    (
        r"(useradd|python3?|pip|uv|sh|bash): not found|executable file not found",
        "the base image lacks a program that "
        "this step runs: choose another base with --base-image, or install it in an earlier step",
    ),
)
_PUSH = (
    (
        r"no basic auth|unauthorized|authentication required|denied|forbidden|401|403",
        "log in with `docker login {registry}` as a user who may write there",
    ),
    (
        r"HTTP response to HTTPS client",
        "{registry} speaks plain HTTP: name it in the engine's `insecure-registries` (podman: in registries.conf)",
    ),
    (
        r"connection refused|no such host|i/o timeout|no route|dial tcp|EOF",
        "nothing answers at {registry}: is its name right, and is it running?",
    ),
    (
        r"x509|certificate",
        "the engine does not trust {registry}'s certificate: put its authority into "
        "/etc/docker/certs.d/{registry}/ca.crt where the engine runs",
    ),
    (r"no space left", "{registry} has no space left"),
    (
        r"unknown blob|unexpected http status: 5|received unexpected|5\d\d",
        "{registry} failed by itself: try again later",
    ),
)


def build_hint(text: str) -> str | None:
    """Return the hint for a failed build; `None` when its output is not known."""
    return _first(_BUILD, text)


def push_hint(text: str, registry: str) -> str | None:
    """Return the hint for a refused push; `None` when the reason is not known."""
    hint = _first(_PUSH, text)
    return hint.format(registry=registry) if hint else None


def _first(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((hint for pattern, hint in table if re.search(pattern, text, re.IGNORECASE)), None)
