"""What can go wrong with images: one sentence each, made for whoever ran the command.

EnvError
└── ImageError
    ├── EngineUnavailable     no container engine answered
    ├── InvalidImageName      a name or tag that no engine takes
    ├── ContextError          the files to build from, or the Dockerfile, cannot be used
    ├── BuildFailed           a step failed, or the engine gave up
    └── PushFailed            the registry refused, or could not be reached
"""

from __future__ import annotations

from openenv_async.errors import EnvError


class ImageError(EnvError):
    """Base of the errors about images."""

    code = "IMAGE"


class EngineUnavailable(ImageError):
    """No container engine answered. The sentence says what to start."""

    retryable = True


class InvalidImageName(ImageError):
    """An image name or tag that no engine takes."""

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
        """Keep the sentence, the step's output and the hint."""
        super().__init__(message, output=output, hint=hint)
        self.output = output
        self.hint = hint


class PushFailed(ImageError):
    """The registry did not take the image."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the sentence and the hint."""
        super().__init__(message, hint=hint)
        self.hint = hint
