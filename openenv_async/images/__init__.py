"""Images of environments: built by a container engine, and pushed to a registry.

A rank of its own beside `providers` and `hub`: it knows errors and nothing else
of the runtime. What goes into an image, and under which name, is the command's
business (`cli.build`).
"""

from __future__ import annotations

from openenv_async.images.base import BASE_NAME, ensure_base, wants_base
from openenv_async.images.build import BuildRequest, BuiltImage, build_image
from openenv_async.images.context import Context
from openenv_async.images.engine import find_engine, open_engine
from openenv_async.images.errors import (
    BuildFailed,
    ContextError,
    EngineUnavailable,
    ImageError,
    InvalidImageName,
    PushFailed,
)
from openenv_async.images.names import default_name, in_registry, parse_image_name
from openenv_async.images.progress import OnProgress, Output, Progress, Step, Transfer
from openenv_async.images.push import PushedImage, push_image

__all__ = [
    "BASE_NAME",
    "BuildFailed",
    "BuildRequest",
    "BuiltImage",
    "Context",
    "ContextError",
    "EngineUnavailable",
    "ImageError",
    "InvalidImageName",
    "OnProgress",
    "Output",
    "Progress",
    "PushFailed",
    "PushedImage",
    "Step",
    "Transfer",
    "build_image",
    "default_name",
    "ensure_base",
    "find_engine",
    "in_registry",
    "open_engine",
    "parse_image_name",
    "push_image",
    "wants_base",
]
