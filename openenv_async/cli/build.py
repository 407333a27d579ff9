"""`openenv build`: builds the image of an environment.

Declares the options and runs the steps: plan, find the engine, build, push if asked to.
`cli.building` plans, `images` builds, `cli.image_progress` shows progress.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.errors import BadInput
from openenv_async.cli.progress import quiet_option, say

if TYPE_CHECKING:
    from openenv_async.cli.building import Plan
    from openenv_async.images.build import BuiltImage
    from openenv_async.images.push import PushedImage


_EXAMPLES = """\b
A Dockerfile of your own takes certificates and index in a builder stage with
  COPY pyproject.toml .openenv-buil[d]/* /tmp/openenv-build/
  RUN . /tmp/openenv-build/env; pip install ...

\b
Examples:
  openenv build
  openenv build my_env -t ghcr.io/my-org/my-env:v1 --push
  openenv build --base-image python:3.13-slim
  openenv build examples/echo_env --no-cache --pull
"""


@click.command(short_help="Build the image of an environment.", epilog=_EXAMPLES)
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("-t", "--tag", metavar="NAME[:TAG]", help="Name of the image. [default: openenv-<name>]")
@click.option(
    "--build-arg", multiple=True, metavar="KEY=VALUE", help="For an ARG of the Dockerfile; not for secrets. Repeatable."
)
@click.option(
    "-f",
    "--dockerfile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="[default: server/Dockerfile, Dockerfile, or the template's]",
)
@click.option(
    "-c",
    "--context",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="What the Dockerfile copies from. [default: PATH]",
)
@click.option("--no-cache", is_flag=True, help="Run every step again.")
@click.option("--base-image", metavar="IMAGE", help="Use this base image instead of the Dockerfile's.")
@click.option("--platform", metavar="OS/ARCH", help="Build for another kind of machine, e.g. linux/arm64.")
@click.option("--pull", is_flag=True, help="Fetch the base image again.")
@click.option("--push", "push_it", is_flag=True, help="Push it to the registry that --tag names.")
@quiet_option
def build(path: Path, **options: Any) -> None:
    """Build the image of the environment in PATH, by default the current folder.

    The engine is the one that DOCKER_HOST or docker's context names, or else
    the first that answers: Docker, or podman's socket. Files that .dockerignore
    names stay out. The same files give the same context digest.

    The runtime goes in as a wheel: the project's own in wheels/, or one made of
    what is installed here.

    Behind a company's proxy: when SSL_CERT_FILE, REQUESTS_CA_BUNDLE, PIP_CERT or
    CURL_CA_BUNDLE names a bundle of certificates, the steps that install packages
    trust it, and they use the package index that pip's and uv's variables and
    pip's configuration name (PIP_INDEX_URL, UV_DEFAULT_INDEX, ...). Both are in
    the first stage of the template's Dockerfile only; neither is in the image.
    The proxy itself: --build-arg HTTPS_PROXY=http://proxy:3128
    """
    from openenv_async.cli.building import BuildOptions, plan_build
    from openenv_async.cli.image_progress import image_errors, run_image_work

    push_it = options.pop("push_it")
    with image_errors():
        plan = plan_build(BuildOptions(path=path, **options))
        if push_it and plan.image_name.registry is None and "/" not in plan.image_name.repository:
            raise BadInput(
                f"--push: {plan.image_name} names no registry: give --tag one, e.g. -t ghcr.io/my-org/{plan.image_name}"
            )
        _announce(plan)
        built, pushed = run_image_work(lambda show: _work(plan, push_it, show))
    click.echo(f"Built {built.tag}, {megabytes(built.size)}, from the context {built.context_digest}.")
    if pushed is not None:
        click.echo(f"Pushed {pushed.name}; this very image is {pushed.pinned}")
    else:
        say(f"Run it:  docker run --rm -p 8000:{plan.port} {built.tag}")


async def _work(plan: Plan, push_it: bool, show: Any) -> tuple[BuiltImage, PushedImage | None]:
    from openenv_async.cli.building import carry_out
    from openenv_async.images.engine import open_engine
    from openenv_async.images.push import push_image

    async with open_engine() as engine:
        built = await carry_out(plan, engine, show)
        pushed = await push_image(built.tag, engine=engine, on_progress=show) if push_it else None
    return built, pushed


def _announce(plan: Plan) -> None:
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
    say(f"Building {plan.image_name} from {plan.where} ({plan.mode}), {plan.dockerfile_shown}.")
    for note in plan.notes:
        say(note)


def megabytes(size: int) -> str:
    """Return a size as container engines write it: `181 MB`."""
    return f"{size / 1e6:.0f} MB"
