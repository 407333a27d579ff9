"""What a command tells its user when it cannot go on: one line on stderr, and an exit code.

`CommandFailed` (exit 1) is for what was understood and could not be done, and
`BadInput` (exit 2) for an argument that has to change.
"""

from __future__ import annotations

import click


class CommandFailed(click.ClickException):
    """The command could not do its work. The message says what, where, and what to do next."""

    exit_code = 1


class BadInput(CommandFailed):
    """An argument cannot be used. Unlike click's own usage errors it prints no usage text."""

    exit_code = 2
