"""Login to the Hub from a terminal, and the Hub's errors as command errors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import click
from huggingface_hub import HfApi, login
from huggingface_hub.utils.tqdm import disable_progress_bars

from openenv_async.cli.errors import BadInput, CommandFailed, Interrupted
from openenv_async.cli.progress import is_quiet, is_terminal
from openenv_async.hub.account import Account, NoToken, connect_api, require_write, sign_in
from openenv_async.hub.failures import HubError, UnusableName


@contextlib.contextmanager
def command_errors(interrupted: str) -> Iterator[None]:
    """Raise the Hub's errors as the command's: exit 2 for a name that has to change, else 1.

    Args:
        interrupted: the message when Ctrl-C ends the block.
    """
    try:
        yield
    except UnusableName as error:
        raise BadInput(str(error)) from error
    except HubError as error:
        raise CommandFailed(str(error)) from error
    except KeyboardInterrupt:
        raise Interrupted(interrupted) from None


def open_hub() -> HfApi:
    """Return the Hub client, without progress bars where stderr is not a terminal."""
    if not is_terminal(sys.stderr) or is_quiet():
        disable_progress_bars()
    return connect_api()


def log_in(api: HfApi) -> Account:
    """Return the account of the stored token; on a terminal, ask for a token if there is none.

    Raises:
        HubError: there is no token, or it is not sufficient.
    """
    try:
        account = sign_in(api)
    except NoToken:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        _ask()
        account = sign_in(api)
    require_write(account)
    return account


def _ask() -> None:
    click.echo("This needs your Hugging Face account.", err=True)
    try:
        login()
    except (ValueError, OSError, EOFError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CommandFailed(f"logging in failed: {lines[0]}") from error
