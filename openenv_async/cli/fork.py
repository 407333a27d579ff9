"""`openenv fork`: copies a Space into the user's account."""

from __future__ import annotations

from typing import Any

import click

_EXAMPLES = """\b
Examples:
  openenv fork their-org/their-env
  openenv fork their-org/their-env --repo-id my-org/my-env --private
  openenv fork their-org/their-env --secret OPENAI_API_KEY
"""


@click.command(short_help="Copy a Space into your account.", epilog=_EXAMPLES)
@click.argument("space", metavar="SPACE")
@click.option(
    "-r", "--repo-id", metavar="[OWNER/]NAME", help="Name of the copy. [default: your name and the original's]"
)
@click.option("--private", is_flag=True, help="Make the copy private. [default: as the original]")
@click.option("-H", "--hardware", help="Hardware of the copy. [default: cpu-basic, which is free]")
@click.option("-e", "--env-var", "--set-env", multiple=True, metavar="KEY=VALUE", help="A public variable. Repeatable.")
@click.option(
    "-s",
    "--secret",
    "--set-secret",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="A variable that only the copy can read; KEY alone takes it from the environment. Repeatable.",
)
def fork(**options: Any) -> None:
    """Copy SPACE, as OWNER/NAME or the address of its page, into your account.

    The Hub copies the files. Secrets of the original are not copied: set your own.
    """
    from openenv_async.cli.hub_session import command_errors, log_in, open_hub
    from openenv_async.cli.keyvalues import key_values
    from openenv_async.cli.push_report import report_place
    from openenv_async.hub.account import full_name
    from openenv_async.hub.forking import fork_space, source_name
    from openenv_async.hub.publishing import SpaceSettings

    settings = SpaceSettings(
        private=options["private"],
        hardware=options["hardware"],
        variables=key_values("--env-var", options["env_var"]),
        secrets=key_values("--secret", options["secret"]),
    )
    with command_errors("stopped; the Hub may have made the copy all the same"):
        api = open_hub()
        source = source_name(options["space"], api.endpoint)
        wanted = options["repo_id"] or source.rpartition("/")[2]
        full_name(wanted, "you")
        user = log_in(api).name
        done = fork_space(api, source, full_name(wanted, user), settings, user)
    if not done.is_environment:
        click.echo(f"Warning: {source} has no openenv.yaml; the copy may not be an environment", err=True)
    click.echo(f"Copied {source} to {done.repo_id}.")
    report_place(done.url, done.app_url, private=done.private)
