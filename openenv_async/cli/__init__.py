"""The `openenv` command: a group whose commands load when they are used.

Holds the table of commands only. Each command is a module here that imports what
it needs inside its function, so that `openenv --help` loads no server, client or
template code. Errors that a command shows its user are in `errors`.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

from openenv_async import __version__
from openenv_async.cli.progress import no_colour, quiet_option

__all__ = ["main"]


class _Entry(NamedTuple):
    module: str
    attribute: str
    short_help: str


COMMANDS = {
    "init": _Entry("openenv_async.cli.init", "init", "Create a new environment project."),
    "serve": _Entry("openenv_async.cli.serve", "serve", "Serve an environment over the network."),
    "validate": _Entry("openenv_async.cli.validate", "validate", "Check an environment, or a running server."),
    "check": _Entry("openenv_async.cli.check", "check", "Check a running server under faults and misbehaving clients."),
    "build": _Entry("openenv_async.cli.build", "build", "Build the image of an environment."),
    "push": _Entry("openenv_async.cli.push", "push", "Send an environment to the Hugging Face Hub or a registry."),
    "fork": _Entry("openenv_async.cli.fork", "fork", "Copy a Space into your account."),
    "top": _Entry("openenv_async.cli.top", "top", "Watch the sessions of a running server."),
    "sessions": _Entry("openenv_async.cli.sessions", "sessions", "List a running server's sessions, or close one."),
    "replay": _Entry("openenv_async.cli.replay", "replay", "Show a recorded session, or play it again."),
    "info": _Entry("openenv_async.cli.info", "info", "Show what an environment is, and where it runs."),
}


class LazyGroup(click.Group):
    """A click group that imports a command's module when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command and return its click object."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.module}.{entry.attribute} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list for `--help` from the table alone: click's own would import every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.short_help) for name, entry in COMMANDS.items()])


_EXAMPLES = """\b
Examples:
  openenv init my_env        write a new environment project into ./my_env
  openenv serve my_env       serve it at http://127.0.0.1:8000
  openenv serve --help       everything that serve can do
"""


@click.group(cls=LazyGroup, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openenv-async", message="%(prog)s %(version)s")
@quiet_option
@click.pass_context
def main(ctx: click.Context) -> None:
    """Create, serve and play reinforcement-learning environments."""
    if no_colour():
        ctx.color = False
