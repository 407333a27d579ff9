"""`openenv check`: tests a running server under faults and misbehaving clients.

Declares the options and the exit code, and writes the report: a row for each finding as
it is made, and a summary, also after Ctrl-C. `conformance.chaos` makes the checks.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.errors import BadInput, Interrupted
from openenv_async.cli.progress import Progress, quiet_option

if TYPE_CHECKING:
    from openenv_async.conformance.findings import Finding, Latency, ServerReport

_EXAMPLES = """\b
Examples:
  openenv check http://localhost:8000
  openenv check http://localhost:8000 --chaos
  openenv check https://org-env.hf.space --json > check.json
"""


@click.command(short_help="Check a running server under faults and misbehaving clients.", epilog=_EXAMPLES)
@click.argument("url", metavar="URL")
@click.option(
    "--chaos",
    is_flag=True,
    help="Misbehave: cut sockets, send garbage, fill every slot. Not for a server that others depend on.",
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
    from openenv_async.cli.interrupts import run_bounded
    from openenv_async.conformance.chaos.run import CheckOptions, check_server
    from openenv_async.conformance.findings import NotAnEnvironment, ServerReport
    from openenv_async.errors import ConnectFailed, Unauthorized

    target = _server(url)
    table = None if as_json else CheckTable(target, chaos=chaos)
    report = ServerReport(target=target, chaos=chaos)
    options = CheckOptions(
        chaos=chaos,
        timeout_s=timeout,
        max_sessions=max_sessions,
        token=token,
        listener=None if table is None else table.finding,
        on_begin=None if table is None else table.begin,
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
    from openenv_async.conformance.findings import NotAnEnvironment
    from openenv_async.conformance.target import find_server_or_folder

    try:
        found = find_server_or_folder(url)
    except NotAnEnvironment:
        found = None
    if not isinstance(found, str):
        raise BadInput(f"{url} is not a server's address: give its URL, e.g. http://localhost:8000")
    return found


def _write(report: dict[str, Any]) -> None:
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))


_COLOURS = {"held": "green", "broke": "red", "not judged": "bright_black"}
_NAME, _VERDICT = 16, 11
_LEAST_WIDTH = 72


class CheckTable:
    """Table of one run."""

    def __init__(self, target: str, *, chaos: bool) -> None:
        # Lines are wrapped on a terminal only, so that a file of them can be searched.
        on_terminal = sys.stdout.isatty()
        self._width = max(_LEAST_WIDTH, shutil.get_terminal_size().columns) if on_terminal else None
        self.progress = Progress(sys.stdout)
        if not self.progress.quiet:
            self._echo(f"Checking {target}{' with chaos' if chaos else ''}\n")

    def begin(self, name: str, tries: str | None) -> None:
        """Show the check in progress."""
        self.progress.doing(f"{name:<{_NAME}}{tries or ''}")

    def finding(self, finding: Finding) -> None:
        """Show one finding; for a failure also what was expected and its consequence."""
        self.progress.doing("")
        if self.progress.quiet and finding.result != "failed":
            return
        verdict = click.style(f"{finding.verdict:<{_VERDICT}}", fg=_COLOURS[finding.verdict])
        if finding.result != "failed":
            self._row(f"{finding.name:<{_NAME}}{verdict}", finding.sentence)
            return
        self._row(f"{finding.name:<{_NAME}}{verdict}", finding.tries or "")
        for label, text in (
            ("expected", finding.expected),
            ("happened", finding.sentence),
            ("matters", finding.why),
        ):
            if text:
                self._row(f"{'':<{_NAME + 2}}{label:<{_VERDICT - 2}}", text)

    def end(self, report: ServerReport) -> None:
        """Show the figures and the verdict."""
        if self.progress.quiet:
            self._verdict(report, "")
            return
        self._echo("")
        if report.wires:
            names = {"json": "OpenEnv's JSON", "native": "the native wire"}
            spoken = " and ".join(names[wire] for wire in report.wires)
            holds = (
                ""
                if report.max_sessions is None
                else f", holds {report.max_sessions} session{'s' * (report.max_sessions != 1)}"
            )
            self._echo(f"Server: speaks {spoken}{holds}")
        self._figures("Latency of a step", report.latency)
        self._figures("During the chaos", report.neighbour)
        self._verdict(report, "\n")

    def _verdict(self, report: ServerReport, before: str) -> None:
        broke = report.count("failed")
        word = "Held" if report.ok else "Broke" if broke else "Not finished"
        held = report.count("ok", "warned")
        said = f"{held} held, {broke} broke, {report.count('skipped')} not judged"
        verdict = click.style(word, fg="green" if report.ok else "red", bold=True)
        self._echo(f"{before}{verdict}: {said}, in {report.duration_s:.1f} s.")

    def _figures(self, label: str, latency: Latency | None) -> None:
        if latency is not None:
            figures = f"median {latency.median_ms:.1f} ms, p95 {latency.p95_ms:.1f} ms"
            self._echo(f"{label}: {figures}, slowest {latency.slowest_ms:.1f} ms, of {latency.calls}")

    def _row(self, head: str, text: str) -> None:
        indent = " " * (_NAME + _VERDICT)
        lines = [text]
        if self._width is not None:
            lines = textwrap.wrap(text, self._width - len(indent)) or [""]
        self._echo(head + lines[0])
        for line in lines[1:]:
            self._echo(indent + line)

    def _echo(self, text: str) -> None:
        click.echo(text)
