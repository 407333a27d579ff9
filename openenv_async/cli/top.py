"""`openenv top`: shows the sessions of a running server in a table that updates itself.

Declares the options and runs the loop. `cli.admin_client` asks the server, `cli.session_table` makes the cells,
`cli.top_screen` draws.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from openenv_async.cli.admin_client import DEFAULT_URL, Operator, Refused, Unreachable, token_option
from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.sessions import SORTS

_APART_S = 0.5
"""Seconds between the two requests from which a single table's steps per second are computed."""


_EXAMPLES = """\b
Examples:
  openenv top
  openenv top https://env.example.org --sort latency
  openenv top --once | grep busy
"""


@click.command(short_help="Watch the sessions of a running server.", epilog=_EXAMPLES)
@click.argument("url", default=DEFAULT_URL, metavar="[URL]")
@click.option(
    "-n",
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
@click.option("--sort", type=click.Choice(SORTS), default="busy", show_default=True, help="The largest first.")
@click.option("--once", is_flag=True, help="Write the table once, as text. The default where stdout is not a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Write the server's answer once, as JSON.")
@token_option
def top(url: str, interval: float, sort: str, once: bool, as_json: bool, token: str | None) -> None:
    """Watch the sessions of the server at URL, by default the one at http://127.0.0.1:8000. Ctrl-C ends it.

    The table shows as many sessions as the terminal has lines. When the server stops
    answering, the command waits for it. Needs the server's token. A server without a token
    answers its own user on its own machine, by the key that it keeps in a file.
    """
    try:
        with Operator(url, token) as operator:
            if as_json or once or not sys.stdout.isatty():
                _once(operator, sort, as_json)
                return
            if importlib.util.find_spec("rich") is None:
                raise CommandFailed(
                    "a live table needs rich: pip install 'openenv-async[top]' (--once and --json work without it)"
                )
            _watch(operator, sort, interval)
    except (Refused, Unreachable) as error:
        raise CommandFailed(str(error)) from error


def _once(operator: Operator, sort: str, as_json: bool) -> None:
    from openenv_async.cli.session_table import plain_table, steps_per_s, summary

    before = operator.sessions(limit=1, sort="age")
    time.sleep(_APART_S)
    said = operator.sessions(limit=1000, sort=sort)
    rate = steps_per_s(before, said)
    if as_json:
        said["server"]["steps_per_s"] = None if rate is None else round(rate, 1)
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    for line in (*summary(said, rate), "", *plain_table(said["sessions"])):
        click.echo(line)


def _watch(operator: Operator, sort: str, interval: float) -> None:
    from openenv_async.cli.session_table import steps_per_s
    from openenv_async.cli.top_screen import Screen

    # A server that never answered is an error, so that the user does not see an empty screen.
    said = operator.sessions(limit=1, sort=sort)
    before: dict[str, Any] | None = said
    with _ended_by_signals(), Screen(operator.url) as screen:
        while True:
            began = time.monotonic()
            try:
                said = operator.sessions(limit=screen.rows, sort=sort)
            except Unreachable as error:
                screen.gone(str(error))
            else:
                screen.show(said, steps_per_s(before, said))
                before = said
            time.sleep(max(0.05, interval - (time.monotonic() - began)))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block without an error, after its cleanup."""

    def end(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
