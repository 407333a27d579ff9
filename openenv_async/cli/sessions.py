"""`openenv sessions`: lists the sessions of a running server, or closes one."""

from __future__ import annotations

import json
import re

import click

from openenv_async.cli.admin_client import DEFAULT_URL, NoSuchSession, Operator, Refused, Unreachable, token_option
from openenv_async.cli.errors import BadInput, CommandFailed

SORTS = ("age", "steps", "latency", "busy", "memory", "id")

_CLOSE_MARGIN_S = 30.0
"""Seconds for the environment's close(), besides the grace for its call."""


_EXAMPLES = """\b
Examples:
  openenv sessions list
  openenv sessions list https://env.example.org --sort busy --limit 10
  openenv sessions close 5558c513-165a-4ada-8744-930eb9cab00c
"""


@click.group(short_help="List a running server's sessions, or close one.", epilog=_EXAMPLES)
def sessions() -> None:
    """List the sessions of a running server, or close one.

    Needs the server's token. A server without a token answers its own user on its own
    machine, by the key that it keeps in a file.
    """


_LISTING = """\b
Examples:
  openenv sessions list
  openenv sessions list https://env.example.org --sort busy --limit 10
"""


@sessions.command("list", short_help="List them.", epilog=_LISTING)
@click.argument("url", default=DEFAULT_URL, metavar="[URL]")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="How many to pass over.")
@click.option("--sort", type=click.Choice(SORTS), default="age", show_default=True, help="The largest first.")
@click.option("--json", "as_json", is_flag=True, help="Write the server's answer as JSON.")
@token_option
def list_sessions(url: str, limit: int, offset: int, sort: str, as_json: bool, token: str | None) -> None:
    """List the sessions of the server at URL, by default the one at http://127.0.0.1:8000."""
    from openenv_async.cli.session_table import plain_table, summary

    try:
        with Operator(url, token) as operator:
            said = operator.sessions(limit=limit, sort=sort, offset=offset)
    except (Refused, Unreachable) as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    for line in (*summary(said, None), "", *plain_table(said["sessions"])):
        click.echo(line)
    rest = said["total"] - offset - len(said["sessions"])
    if rest > 0:
        click.echo(f"{rest} more: --limit, --offset")


_CLOSING = """\b
Examples:
  openenv sessions close 5558c513-165a-4ada-8744-930eb9cab00c
  openenv sessions close 5558c513-165a-4ada-8744-930eb9cab00c --url http://localhost:9000 --grace 0
"""


@sessions.command("close", short_help="Close one.", epilog=_CLOSING)
@click.argument("session_id", metavar="ID")
@click.option("--url", default=DEFAULT_URL, show_default=True, help="The server.")
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="For a call that cannot be stopped; then it is given up. [default: the server's close_timeout_s, 10]",
)
@token_option
def close(session_id: str, url: str, grace: float | None, token: str | None) -> None:
    """Close the session ID: its client gets SESSION_LOST, its environment is closed, its slot is free.

    Exit code: 0 when it is closed, 1 when it cannot be, 2 when no session has that id.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+", session_id):
        raise BadInput(f"{session_id!r} is not the id of a session: `openenv sessions list` shows them")
    try:
        with Operator(url, token) as operator:
            said = operator.close(session_id, grace, (10.0 if grace is None else grace) + _CLOSE_MARGIN_S)
    except NoSuchSession as error:
        raise BadInput(str(error)) from error
    except (Refused, Unreachable) as error:
        raise CommandFailed(str(error)) from error
    call = f"; its {said['call']}() was {'given up' if said.get('given_up') else 'ended'}" if said.get("call") else ""
    click.echo(f"Closed session {session_id}{call}.")
