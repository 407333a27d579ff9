"""What a command tells its user when it cannot go on: one line on stderr, and an exit code.

`CommandFailed` (exit 1) is for what was understood and could not be done, `BadInput`
(exit 2) for an argument that has to change, `Interrupted` (exit 130) for a signal.
"""

from __future__ import annotations

import click


class CommandFailed(click.ClickException):
    """The command could not do its work. The message says what, where, and what to do next."""

    exit_code = 1


class BadInput(CommandFailed):
    """An argument cannot be used. Unlike click's own usage errors it prints no usage text."""

    exit_code = 2


class Interrupted(CommandFailed):
    """Ctrl-C or SIGTERM came after something was begun; nothing is left running."""

    exit_code = 130
