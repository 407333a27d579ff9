"""The options of `openenv serve` that record sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_SIZE = click.FloatRange(min=0, min_open=True)
_OPTIONS = (
    click.option(
        "--record",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        envvar="OPENENV_RECORD",
        show_envvar=True,
        help="Write every session into a file there, for `openenv replay`.",
    ),
    click.option(
        "--record-redact",
        multiple=True,
        metavar="FIELD",
        help="With --record: a field whose values are left out, `password` or `request.user.name`. Repeatable.",
    ),
    click.option("--record-file-mb", type=_SIZE, metavar="MB", help="With --record: size of a file. [default: 64]"),
    click.option(
        "--record-total-mb",
        type=_SIZE,
        metavar="MB",
        help="With --record: of all files there; then the oldest are removed. [default: 1024]",
    ),
)


def record_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
