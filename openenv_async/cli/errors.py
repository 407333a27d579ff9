"""Errors that end a command with one line on stderr and an exit code.

`CommandFailed` (exit 1): the command was understood and could not be done. `BadInput`
(exit 2): an argument has to change. `Interrupted` (exit 130): a signal came.
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
    """Ctrl-C or SIGTERM came during the work; nothing is left running."""

    exit_code = 130
