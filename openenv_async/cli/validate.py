"""`openenv validate`: checks an environment, as a folder or as a running server.

Declares the options and the exit code, and writes the report: a line for each finding as
it is made, and a summary. `conformance` makes the checks.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.compat import VARIABLE, compat_option
from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.progress import Progress, quiet_option

if TYPE_CHECKING:
    from openenv_async.conformance.findings import Finding, Level, ValidationReport
    from openenv_async.conformance.project.validate import ValidateOptions

TIMEOUTS_S = {"static": 120.0, "runtime": 120.0, "full": 900.0}

_EXAMPLES = """\b
Examples:
  openenv validate
  openenv validate my_env --level full
  openenv validate http://localhost:8000 --verbose
  openenv validate my_env --json --output report.json
"""


@click.command(short_help="Check an environment, or a running server.", epilog=_EXAMPLES)
@click.argument("target", default=".", metavar="[PATH | URL]")
@click.option("-v", "--verbose", is_flag=True, help="Details of every check, and how long it took.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout, and nothing else there.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the JSON there too."
)
@click.option(
    "--level",
    type=click.Choice(["static", "runtime", "full"]),
    default="runtime",
    show_default=True,
    help="static reads the files and imports the code; runtime serves and plays it; full does so in a container too.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For the whole run. [default: 120; 900 for full]",
)
@click.option("--token", envvar="OPENENV_TOKEN", show_envvar=True, help="Of the server at URL.")
@quiet_option
@compat_option
def validate(
    target: str,
    verbose: bool,
    as_json: bool,
    output: Path | None,
    level: Level,
    timeout: float | None,
    token: str | None,
    compat: str,
) -> None:
    """Check the environment in PATH, by default the current folder, or the server at URL.

    A URL may be a server of this runtime or of OpenEnv's own. A folder's server
    is started on a free port and stopped again. Exit code: 0 when nothing
    failed, 1 when something did, 2 when there is no environment to check.
    """
    if output is not None and not output.absolute().parent.is_dir():
        raise BadInput(f"--output: there is no folder {output.absolute().parent}")
    from openenv_async.cli.interrupts import run_bounded
    from openenv_async.conformance.findings import NotAnEnvironment
    from openenv_async.conformance.project.validate import ValidateOptions

    # The environment's code does not run in this process: the variable is for the processes that run it.
    os.environ[VARIABLE] = compat
    lines = None if as_json else ValidationLines(target, level, verbose=verbose)
    options = ValidateOptions(
        level=level,
        timeout_s=timeout or TIMEOUTS_S[level],
        token=token,
        build=build_image,
        listener=None if lines is None else lines.finding,
        on_begin=None if lines is None else lines.begin,
    )
    try:
        try:
            report = run_bounded(lambda: _validate(target, options))
        finally:
            if lines is not None:
                lines.progress.end()
    except NotAnEnvironment as error:
        _write({"target": target, "ok": False, "error": error.message, "checks": []}, as_json, output)
        raise BadInput(error.message) from error
    if lines is not None:
        lines.end(report)
    _write(report.as_json(), as_json, output)
    if not report.ok:
        raise click.exceptions.Exit(1)


async def _validate(target: str, options: ValidateOptions) -> ValidationReport:
    from openenv_async.conformance.project.validate import validate_folder, validate_url
    from openenv_async.conformance.target import find_server_or_folder

    found = find_server_or_folder(target)
    return await (validate_url(found, options) if isinstance(found, str) else validate_folder(found, options))


async def build_image(folder: Path) -> str:
    """Build a folder's image as `openenv build` does, and return its name.

    Raises:
        EnvError: it cannot be built; the text says why.
    """
    from openenv_async.cli.building import BuildOptions, carry_out, plan_build
    from openenv_async.errors import EnvError
    from openenv_async.images.engine import open_engine
    from openenv_async.images.progress import ignore

    try:
        plan = await asyncio.to_thread(plan_build, BuildOptions(path=folder))
    except CommandFailed as error:
        raise EnvError(error.message) from error
    async with open_engine() as engine:
        return (await carry_out(plan, engine, ignore)).tag


def _write(report: dict[str, Any], as_json: bool, output: Path | None) -> None:
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if as_json:
        click.echo(text)
    if output is not None:
        try:
            output.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise BadInput(f"--output {output} cannot be written: {error.strerror}") from error


_COLOURS = {"ok": "green", "warned": "yellow", "failed": "red", "skipped": "bright_black"}
_HEADS = {"static": "Files and code", "runtime": "Served and played", "full": "Built and played in a container"}
_MODES = {"local": "local (python)", "uv": "uv", "docker": "docker", "space": "Space"}
_NAME = 12


class ValidationLines:
    """Lines of one validation."""

    def __init__(self, target: str, level: str, *, verbose: bool) -> None:
        self._verbose = verbose
        self._level: str | None = None
        self._skipped: list[Finding] = []
        self.progress = Progress(sys.stdout)
        if not self.progress.quiet:
            click.echo(f"Validating {target} ({level})")

    def begin(self, name: str, tries: str | None) -> None:
        """Show the check in progress."""
        self.progress.doing(f"  {'':<8} {name}")

    def finding(self, finding: Finding) -> None:
        """Show one finding. Checks that were skipped for the same reason share a line."""
        self.progress.doing("")
        if self.progress.quiet and finding.result != "failed":
            return
        if not self._verbose and finding.result == "skipped":
            if self._skipped and self._skipped[0].sentence != finding.sentence:
                self._show_skipped()
            self._skipped.append(finding)
            return
        self._show_skipped()
        self._line(finding, finding.name)

    def _show_skipped(self) -> None:
        held, self._skipped = self._skipped, []
        if held:
            names = held[0].name if len(held) == 1 else f"{held[0].name} ... {held[-1].name}"
            self._line(held[0], names)

    def _line(self, finding: Finding, name: str) -> None:
        if finding.level != self._level and finding.level is not None:
            self._level = finding.level
            click.echo(f"\n{_HEADS[finding.level]}")
        result = click.style(f"{finding.result:<8}", fg=_COLOURS[finding.result])
        where = f"{finding.where}: " if finding.line is not None else ""
        took = f" [{finding.duration_s:.2f} s]" if self._verbose and finding.duration_s is not None else ""
        click.echo(f"  {result} {name:<{_NAME}} {where}{finding.sentence}{took}")
        if finding.hint and (finding.result != "skipped" or self._verbose):
            click.echo(f"{'':{_NAME + 12}}-> {finding.hint}")
        if self._verbose:
            for line in finding.details:
                click.echo(f"{'':{_NAME + 12}}{line}")

    def end(self, report: ValidationReport) -> None:
        """Show how the environment can be run, and the result."""
        self._show_skipped()
        if report.modes and not self.progress.quiet:
            click.echo("\nWays to run it")
            for mode in report.modes:
                word = click.style(f"{'yes' if mode.works else 'no':<8}", fg="green" if mode.works else "red")
                click.echo(f"  {word} {_MODES[mode.name]:<14} {mode.why}")
        counts = [(report.count("failed"), "failed"), (report.count("warned"), "with a warning")]
        counts += [(report.count("skipped"), "skipped")]
        said = ", ".join([f"{report.count('ok')} ok", *(f"{number} {word}" for number, word in counts if number)])
        verdict = click.style("Valid" if report.ok else "Not valid", fg="green" if report.ok else "red", bold=True)
        before = "" if self.progress.quiet else "\n"
        click.echo(f"{before}{verdict}: {said}, in {report.duration_s:.1f} s.")
