"""`openenv info`: shows what an environment is, and where it runs.

`conformance.project.info` gathers the facts; this module formats them.
"""

from __future__ import annotations

import json
from typing import Any

import click

from openenv_async.cli.errors import BadInput

_KEYS = {
    "environment": "environment",
    "version": "version",
    "description": "description",
    "author": "author",
    "documentation_url": "documentation",
    "health": "health",
    "wire": "wire",
    "app": "app",
    "port": "port",
    "execution": "execution",
    "max_sessions": "max sessions",
    "space": "Space",
}
_WIDTH = 14


_EXAMPLES = """\b
Examples:
  openenv info
  openenv info my_env --json
  openenv info http://localhost:8000
"""


@click.command(short_help="Show what an environment is, and where it runs.", epilog=_EXAMPLES)
@click.argument("target", default=".", metavar="[PATH | URL]")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, with the whole schemas.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, metavar="SECONDS", help="[default: 30]"
)
@click.option("--token", envvar="OPENENV_TOKEN", show_envvar=True, help="Of the server at URL.")
def info(target: str, as_json: bool, timeout: float, token: str | None) -> None:
    """Show what the environment in PATH is, by default the current folder, or the server at URL.

    Of a folder: its name and version, the fields of actions and observations,
    how it runs, the Space it is pushed to and the image that is built of it. Of
    a server: whether it is healthy, its wire and how many sessions it holds.
    """
    from openenv_async.cli.interrupts import run_bounded
    from openenv_async.conformance.findings import NotAnEnvironment

    try:
        said = run_bounded(lambda: _ask(target, timeout, token))
    except NotAnEnvironment as error:
        raise BadInput(error.message) from error
    if as_json:
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        _show(said)


async def _ask(target: str, timeout_s: float, token: str | None) -> dict[str, Any]:
    from openenv_async.conformance.project.info import about_folder, about_url
    from openenv_async.conformance.target import ServerTarget, find_server_or_folder

    found = find_server_or_folder(target)
    if isinstance(found, str):
        return await about_url(ServerTarget(url=found, token=token, call_timeout_s=timeout_s))
    return await about_folder(found, timeout_s)


def _show(said: dict[str, Any]) -> None:
    from openenv_async.conformance.project.info import fields_of

    click.echo(f"{said['name'] or 'An environment without a name'}, {said['where']}\n")
    for key, words in _KEYS.items():
        if said.get(key) is not None:
            click.echo(f"  {words:<{_WIDTH}} {said[key]}")
    image = said.get("image")
    if image:
        size, short = f"{image['size'] / 1e6:.0f} MB", image["id"].removeprefix("sha256:")[:12]
        click.echo(f"  {'image':<{_WIDTH}} {image['tag']} ({short}, {size})")
    elif said["kind"] == "folder":
        click.echo(f"  {'image':<{_WIDTH}} none here (openenv build makes one)")
    for what, schema in said["schemas"].items():
        click.echo(f"\n{what}")
        for name, kind, required, description in fields_of(schema):
            words = "  ".join(part for part in (kind, "" if required else "(optional)", description) if part)
            click.echo(f"  {name:<{_WIDTH}} {words}")
    for problem in said["problems"]:
        click.echo(f"Warning: {problem}", err=True)
