"""How `openenv validate` shows its checks: a line for each as it is made, and a summary."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from openenv_async.cli.progress import Progress

if TYPE_CHECKING:
    from openenv_async.validation.checks import Check, Report

_COLOURS = {"ok": "green", "warned": "yellow", "failed": "red", "skipped": "bright_black"}
_HEADS = {"static": "Files and code", "runtime": "Served and played", "full": "Built and played in a container"}
_SPACES = {"local": "local (python)", "uv": "uv", "docker": "docker", "space": "Space"}
_NAME = 12


class ReportLines:
    """Writes the lines of one validation."""

    def __init__(self, target: str, level: str, *, verbose: bool) -> None:
        self._verbose = verbose
        self._level: str | None = None
        self._skipped: list[Check] = []
        self.progress = Progress(sys.stdout)
        if not self.progress.quiet:
            click.echo(f"Validating {target} ({level})")

    def begins(self, name: str) -> None:
        """Show which check is being made."""
        self.progress.doing(f"  {'':<8} {name}")

    def check(self, check: Check) -> None:
        """Show one check. Those that were passed over for one reason share a line."""
        self.progress.doing("")
        if self.progress.quiet and check.result != "failed":
            return
        if not self._verbose and check.result == "skipped":
            if self._skipped and self._skipped[0].sentence != check.sentence:
                self._show_skipped()
            self._skipped.append(check)
            return
        self._show_skipped()
        self._line(check, check.name)

    def _show_skipped(self) -> None:
        held, self._skipped = self._skipped, []
        if held:
            names = held[0].name if len(held) == 1 else f"{held[0].name} ... {held[-1].name}"
            self._line(held[0], names)

    def _line(self, check: Check, name: str) -> None:
        if check.level != self._level:
            self._level = check.level
            click.echo(f"\n{_HEADS[check.level]}")
        result = click.style(f"{check.result:<8}", fg=_COLOURS[check.result])
        where = f"{check.where}: " if check.line is not None else ""
        took = f" [{check.duration_s:.2f} s]" if self._verbose and check.duration_s is not None else ""
        click.echo(f"  {result} {name:<{_NAME}} {where}{check.sentence}{took}")
        if check.hint and (check.result != "skipped" or self._verbose):
            click.echo(f"{'':{_NAME + 12}}-> {check.hint}")
        if self._verbose:
            for line in check.details:
                click.echo(f"{'':{_NAME + 12}}{line}")

    def end(self, report: Report) -> None:
        """Show how the environment can be run, and the verdict."""
        self._show_skipped()
        if report.modes and not self.progress.quiet:
            click.echo("\nWays to run it")
            for mode in report.modes:
                word = click.style(f"{'yes' if mode.works else 'no':<8}", fg="green" if mode.works else "red")
                click.echo(f"  {word} {_SPACES[mode.name]:<14} {mode.why}")
        counts = [(report.count("failed"), "failed"), (report.count("warned"), "with a warning")]
        counts += [(report.count("skipped"), "skipped")]
        said = ", ".join([f"{report.count('ok')} ok", *(f"{number} {word}" for number, word in counts if number)])
        verdict = click.style("Valid" if report.ok else "Not valid", fg="green" if report.ok else "red", bold=True)
        before = "" if self.progress.quiet else "\n"
        click.echo(f"{before}{verdict}: {said}, in {report.duration_s:.1f} s.")
