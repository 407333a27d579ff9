"""`openenv check`: drives a running server as a hostile world would, and says what held and what broke.

Owns the options, the exit code and what is left to say after Ctrl-C. `checking`
judges, `cli.check_report` words it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.errors import BadInput
from openenv_async.cli.progress import quiet_option

if TYPE_CHECKING:
    from openenv_async.checking.verdicts import Finding


_EXAMPLES = """\b
Examples:
  openenv check http://localhost:8000
  openenv check http://localhost:8000 --chaos
  openenv check https://org-env.hf.space --json > check.json
"""


@click.command(short_help="Drive a running server as a hostile world would.", epilog=_EXAMPLES)
@click.argument("url", metavar="URL")
@click.option(
    "--chaos",
    is_flag=True,
    help="Misbehave: cut sockets, send garbage, fill every place. Not for a server that others depend on.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout, and nothing else there.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="For the whole run.",
)
@click.option(
    "--max-sessions",
    type=click.IntRange(min=2),
    default=64,
    show_default=True,
    metavar="N",
    help="Sessions that --chaos holds at once at most.",
)
@click.option("--token", envvar="OPENENV_TOKEN", show_envvar=True, help="Of the server.")
@quiet_option
def check(url: str, chaos: bool, as_json: bool, timeout: float, max_sessions: int, token: str | None) -> None:
    """Check that the server at URL keeps its promises when clients and networks do not.

    Works on servers of this runtime and of OpenEnv's own. Without --chaos it
    uses a few sessions, is honest, and leaves nothing behind. Exit code: 0 when
    everything held, 1 when something broke, 2 when no server answers.
    """
    from openenv_async.checking import Options, Report, check_server
    from openenv_async.cli.check_report import CheckTable
    from openenv_async.cli.validate import Interrupted, run_bounded
    from openenv_async.errors import ConnectFailed, Unauthorized
    from openenv_async.validation.checks import NotAnEnvironment

    target = _server(url)
    table = None if as_json else CheckTable(target, chaos=chaos)
    report = Report(target=target, chaos=chaos)
    options = Options(
        chaos=chaos,
        timeout_s=timeout,
        max_sessions=max_sessions,
        token=token,
        listener=_silent if table is None else table.finding,
        begins=_silent if table is None else table.begins,
    )

    def show() -> None:
        if table is not None:
            table.end(report)
        else:
            _write(report.as_json())

    try:
        try:
            run_bounded(lambda: check_server(target, options, report))
        finally:
            if table is not None:
                table.progress.end()
    except (NotAnEnvironment, ConnectFailed, Unauthorized) as error:
        if as_json:
            _write({**report.as_json(), "error": error.message})
        raise BadInput(error.message) from error
    except Interrupted:
        show()
        raise
    show()
    if not report.ok:
        raise click.exceptions.Exit(1)


def _server(url: str) -> str:
    from openenv_async.validation.checks import NotAnEnvironment
    from openenv_async.validation.subject import find_target

    try:
        found = find_target(url)
    except NotAnEnvironment:
        found = None
    if not isinstance(found, str):
        raise BadInput(f"{url} is no server's address: give its URL, e.g. http://localhost:8000")
    return found


def _silent(finding: Finding | str) -> None:
    """Say nothing: the JSON at the end has everything."""


def _write(report: dict[str, Any]) -> None:
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))
