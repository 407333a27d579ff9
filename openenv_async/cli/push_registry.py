"""`openenv push --registry`: builds an environment's image and pushes it to a registry.

`cli.building` plans, `images` builds and pushes, `cli.image_progress` shows progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openenv_async.cli.building import BuildOptions, Plan, carry_out, plan_build
from openenv_async.cli.image_progress import image_errors, run_image_work
from openenv_async.cli.progress import say
from openenv_async.hub.publishing import counted, readable
from openenv_async.images.engine import open_engine
from openenv_async.images.names import in_registry
from openenv_async.images.progress import OnProgress
from openenv_async.images.push import push_image

if TYPE_CHECKING:
    from openenv_async.images.push import PushedImage


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryPush:
    """The user's options."""

    folder: Path
    """The environment's manifest, checked."""
    registry: str
    """`ghcr.io/owner`, `localhost:5000`."""
    tag: str | None
    interface: bool
    base_image: str | None
    dry_run: bool


def push_to_registry(request: RegistryPush) -> None:
    """Build, tag and push the image, and print where it is.

    Raises:
        CommandFailed: `images` failed; see `cli.image_progress.image_errors`.
    """
    with image_errors():
        plan = plan_build(BuildOptions(path=request.folder, base_image=request.base_image, interface=request.interface))
        # Before a build that may take minutes: a name that no registry takes.
        target = in_registry(plan.image_name, request.registry, request.tag)
        for warning in plan.warnings:
            click.echo(f"Warning: {warning}", err=True)
        if request.dry_run:
            _list_context(plan, str(target))
            return
        say(f"Building {target} from {plan.where} ({plan.mode}), {plan.dockerfile_shown}.")
        pushed = run_image_work(lambda show: _work(plan, request, show))
    click.echo(f"Pushed {pushed.name}; this very image is {pushed.pinned}")


async def _work(plan: Plan, request: RegistryPush, show: OnProgress) -> PushedImage:
    async with open_engine() as engine:
        built = await carry_out(plan, engine, show)
        return await push_image(built.tag, request.registry, tag=request.tag, engine=engine, on_progress=show)


def _list_context(plan: Plan, target: str) -> None:
    """Print the files that a build reads; the size of the image is not known before it is built."""
    context = plan.request.context
    files = [context.folder / path for path in context.files()]
    sizes = {file.relative_to(context.folder).as_posix(): file.lstat().st_size for file in files if not file.is_dir()}
    sizes |= {path: len(data) for path, data in context.overlay.items()}
    click.echo(f"{target}, built with {plan.dockerfile_shown} from:")
    width = max(len(readable(size)) for size in sizes.values())
    for path, size in sorted(sizes.items()):
        click.echo(f"  {readable(size):>{width}}  {path}")
    total = readable(sum(sizes.values()))
    click.echo(f"Would build from {counted(len(sizes), 'file')}, {total}, and push. Nothing was built or sent.")
