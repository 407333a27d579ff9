"""`openenv push --registry`: the half that has an image built and pushed.

Owns the order and what the user sees. `cli.building` plans the build, `images`
builds and pushes, `cli.image_progress` shows how it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from openenv_async.cli.building import Plan
    from openenv_async.images import OnProgress, PushedImage


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryPush:
    """What the command was asked for."""

    folder: Path
    """The environment's, checked."""
    name: str
    """The environment's."""
    registry: str
    """`ghcr.io/owner`, `localhost:5000`."""
    tag: str | None
    """Of the image there, `latest` by default."""
    interface: bool
    base_image: str | None
    dry_run: bool


def push_to_registry(request: RegistryPush) -> None:
    """Build, tag and push the image; then say where it is.

    Raises:
        BadInput: the registry or the tag cannot be used.
        CommandFailed: there is no engine, the build failed, or the registry refused.
    """
    from openenv_async.cli.building import BuildOptions, plan_build
    from openenv_async.cli.image_progress import image_errors, run_image_work
    from openenv_async.images import in_registry

    with image_errors():
        plan = plan_build(BuildOptions(path=request.folder, base_image=request.base_image, interface=request.interface))
        # A name that cannot be is told before anything is built.
        target = in_registry(plan.image_name, request.registry, request.tag)
        for warning in plan.warnings:
            click.echo(f"Warning: {warning}", err=True)
        if request.dry_run:
            _dry_run(plan, str(target))
            return
        click.echo(f"Building {plan.image_name} from {plan.where} ({plan.mode}), {plan.dockerfile_shown}.")
        for note in plan.notes:
            click.echo(note)
        pushed = run_image_work(lambda show: _work(plan, request, show))
    click.echo(f"Pushed {pushed.name}; this very image is {pushed.pinned}")


async def _work(plan: Plan, request: RegistryPush, show: OnProgress) -> PushedImage:
    from openenv_async.cli.building import carry_out
    from openenv_async.images import open_engine, push_image

    async with open_engine() as engine:
        built = await carry_out(plan, engine, show)
        return await push_image(built.tag, request.registry, tag=request.tag, engine=engine, on_progress=show)


def _dry_run(plan: Plan, target: str) -> None:
    """List what would go to the engine. Nothing is built, so no engine is needed."""
    context = plan.request.context
    for name in sorted({*context.files(), *context.overlay}):
        laid_over = context.overlay.get(name)
        file = context.folder / name
        if laid_over is None and file.is_dir():
            continue
        size = file.lstat().st_size if laid_over is None else len(laid_over)
        click.echo(f"{size:>10,}  {name}")
    archive = context.write()
    archive.close()
    click.echo(f"Would build {plan.image_name} from these, context {archive.digest}, and push it as {target}")
