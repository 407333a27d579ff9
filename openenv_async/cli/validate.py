"""`openenv validate`: whether an environment is what it should be, as a folder or as a running server.

Owns the options, the exit code and the end by Ctrl-C. `validation` judges,
`cli.validate_report` words it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from openenv_async.cli.compat import VARIABLE, compat_option
from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.progress import quiet_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openenv_async.validation.checks import Check, Level, Report

T = TypeVar("T")

TIMEOUTS_S = {"static": 120.0, "runtime": 120.0, "full": 900.0}


class Interrupted(CommandFailed):
    """Ctrl-C or SIGTERM, after which nothing is left running."""

    exit_code = 130


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
    from openenv_async.cli.validate_report import ReportLines
    from openenv_async.validation.checks import NotAnEnvironment
    from openenv_async.validation.run import Options

    # Nothing of the environment runs here: the variable tells the processes in which it does.
    os.environ[VARIABLE] = compat
    lines = None if as_json else ReportLines(target, level, verbose=verbose)
    options = Options(
        level=level,
        timeout_s=timeout or TIMEOUTS_S[level],
        token=token,
        build=build_image,
        listener=lines.check if lines is not None else _silent,
        begins=lines.begins if lines is not None else _silent,
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


async def _validate(target: str, options: Any) -> Report:
    from openenv_async.validation.run import validate_folder, validate_url
    from openenv_async.validation.subject import find_target

    found = find_target(target)
    return await (validate_url(found, options) if isinstance(found, str) else validate_folder(found, options))


async def build_image(folder: Path) -> str:
    """Build a folder's image as `openenv build` does, and give its name.

    Raises:
        EnvError: it cannot be built; the sentence says why.
    """
    from openenv_async.cli.building import BuildOptions, carry_out, plan_build
    from openenv_async.errors import EnvError
    from openenv_async.images import open_engine
    from openenv_async.images.progress import ignore

    try:
        plan = await asyncio.to_thread(plan_build, BuildOptions(path=folder))
    except CommandFailed as error:
        raise EnvError(error.message) from error
    async with open_engine() as engine:
        return (await carry_out(plan, engine, ignore)).tag


def run_bounded(work: Callable[[], Awaitable[T]]) -> T:
    """Run to its end; Ctrl-C and SIGTERM cancel it, and what it started is ended first.

    Raises:
        Interrupted: a signal came.
    """

    async def main() -> T:
        return await work()

    with _terminated_as_interrupted():
        try:
            return asyncio.run(main())
        except KeyboardInterrupt:
            raise Interrupted("stopped; nothing was left running") from None


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def interrupt(signum: int, frame: object) -> None:
        # The runner's own handler of SIGINT cancels the task, which ends what it started.
        signal.raise_signal(signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: a test, or a program that calls the command
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _silent(check: Check | str) -> None:
    """Say nothing: the JSON at the end has everything."""


def _write(report: dict[str, Any], as_json: bool, output: Path | None) -> None:
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if as_json:
        click.echo(text)
    if output is not None:
        try:
            output.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise BadInput(f"--output {output} cannot be written: {error.strerror}") from error
