"""`--compat`: whether `import openenv` in an environment's code is answered by this runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from openenv_async.cli.errors import CommandFailed

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE = "OPENENV_COMPAT"

MODES = ("auto", "force", "off")


def compat_option(command: F) -> F:
    """Give a command the option; the variable carries it on to the processes that the command starts."""
    option = click.option(
        "--compat",
        type=click.Choice(MODES),
        default="auto",
        show_default=True,
        envvar=VARIABLE,
        show_envvar=True,
        help="Environments that import `openenv`: answer it where the original is not installed, always, or never.",
    )
    return option(command)


def apply_compat(mode: str) -> None:
    """Do what the option says, in this process and in those it starts.

    Raises:
        CommandFailed: the original `openenv` is imported already and cannot be overridden any more.
    """
    from openenv_async.compat import apply

    try:
        apply(mode)
    except ImportError as error:
        raise CommandFailed(f"--compat {mode}: {error}") from error
