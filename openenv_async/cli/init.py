"""`openenv init`: creates a new environment project, completely or not at all."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openenv_async.cli.progress import is_quiet

if TYPE_CHECKING:
    from openenv_async.cli.names import Names
    from openenv_async.cli.project import Project
    from openenv_async.cli.scaffolding import Models

_EXAMPLES = """\b
Examples:
  openenv init my_env                       ./my_env, with msgspec models
  openenv init wordle -o ~/environments     ~/environments/wordle
  openenv init my_env --models pydantic     models as pydantic classes
  openenv init my_env --ci                  with .github/workflows/docker-build.yml
"""


@click.command(epilog=_EXAMPLES)
@click.argument("name")
@click.option(
    "-o",
    "--output-dir",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder in which the project's own folder is made.  [default: here]",
)
@click.option(
    "--models",
    type=click.Choice(["msgspec", "pydantic", "dataclass"]),
    default="msgspec",
    show_default=True,
    help="What the classes of actions and observations are made with.",
)
@click.option("--ci", is_flag=True, help="With a GitHub workflow that builds and checks the image.")
def init(name: str, output_dir: Path, models: Models, ci: bool) -> None:
    """Create the project of a new environment called NAME.

    NAME becomes a Python package and the beginning of its class names: my_env
    has MyEnvironment, MyAction, MyObservation and the clients MyEnv and
    AsyncMyEnv. What is generated runs at once; edit it from there.
    """
    from openenv_async.cli.names import parse_name
    from openenv_async.cli.project import create_project

    names = parse_name(name)
    project = create_project(names, models, output_dir / names.package, ci)
    _report(project, names, models)


def _report(project: Project, names: Names, models: Models) -> None:
    lock = ", uv.lock among them" if project.no_lock is None else ""
    click.echo(f"Created {project.folder} with {project.files} files{lock}.")
    if project.no_lock:
        click.echo(project.no_lock, err=True)
    if models == "pydantic" and importlib.util.find_spec("pydantic") is None:
        click.echo("Serving it needs pydantic, which this Python does not have: `pip install pydantic`.", err=True)
    if is_quiet():
        return
    click.echo("\nServe it, and play it from another terminal as its README shows:")
    click.echo(f"  cd {shlex.quote(str(project.folder))}\n  openenv serve\n\nMake it yours:")
    places = {
        "models.py": "what the agent does, and what it sees",
        f"server/{names.stem}_environment.py": "what happens",
        f"tests/test_{names.stem}.py": "a few episodes, for pytest",
    }
    width = max(map(len, places))
    for path, meaning in places.items():
        click.echo(f"  {path:<{width}}  {meaning}")
