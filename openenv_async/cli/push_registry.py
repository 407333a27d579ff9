"""`openenv push --registry`: the half that has an image built and pushed.

Owns what the command hands over. Building and pushing is `openenv_async.images`.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path

import anyio
import click

from openenv_async.cli.errors import CommandFailed


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryPush:
    """What `openenv_async.images.push_image` gets, each as a keyword."""

    folder: Path
    """The environment's, checked."""
    name: str
    """The environment's."""
    registry: str
    """`ghcr.io/owner`, `localhost:5000`."""
    tag: str | None
    interface: bool
    base_image: str | None
    dry_run: bool


def push_to_registry(request: RegistryPush) -> None:
    """Build, tag and push the image; then say where it is.

    Raises:
        CommandFailed: as `openenv_async.images` says it.
    """
    try:
        push_image = importlib.import_module("openenv_async.images").push_image
    except (ModuleNotFoundError, AttributeError) as error:
        raise CommandFailed(
            "this installation cannot build images: install openenv-async again, or push to the Hub without --registry"
        ) from error
    fields = {name: getattr(request, name) for name in RegistryPush.__dataclass_fields__}
    reference = anyio.run(functools.partial(push_image, **fields, tell=click.echo))
    click.echo(f"{'Would push' if request.dry_run else 'Pushed'} {reference}")
