"""The option `--compat`: lets `import openenv` in an environment's code load this runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from openenv_async.cli.errors import CommandFailed
from openenv_async.server.options import BY_NAME

F = TypeVar("F", bound=Callable[..., Any])

_OPTION = BY_NAME["compat"]

VARIABLE = _OPTION.variable


def compat_option(command: F) -> F:
    """Add the option to a command; its variable passes it on to the processes that the command starts."""
    option = click.option(
        _OPTION.flag,
        type=click.Choice(_OPTION.kind.choices),
        default=_OPTION.value,
        show_default=True,
        envvar=VARIABLE,
        show_envvar=True,
        help=_OPTION.help,
    )
    return option(command)


def apply_compat(mode: str) -> None:
    """Apply the option in this process and in those it starts.

    Raises:
        CommandFailed: the original `openenv` is imported already and cannot be overridden any more.
    """
    from openenv_async.compat import apply

    try:
        apply(mode)
    except ImportError as error:
        raise CommandFailed(f"--compat {mode}: {error}") from error
