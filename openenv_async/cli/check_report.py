"""How `openenv check` shows its findings: a row for each as it is made, and a summary."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from openenv_async.checking.catalogue import BY_ID
from openenv_async.cli.progress import Progress

if TYPE_CHECKING:
    from openenv_async.checking.verdicts import Finding, Latency, Report

_COLOURS = {"held": "green", "broke": "red", "not judged": "bright_black"}
_NAME, _VERDICT = 16, 11
_LEAST_WIDTH = 72


class CheckTable:
    """Writes the table of one run."""

    def __init__(self, target: str, *, chaos: bool) -> None:
        # Where nobody reads along, lines are left whole for whoever searches them.
        on_terminal = sys.stdout.isatty()
        self._width = max(_LEAST_WIDTH, shutil.get_terminal_size().columns) if on_terminal else None
        self.progress = Progress(sys.stdout)
        if not self.progress.quiet:
            self._echo(f"Checking {target}{' with chaos' if chaos else ''}\n")

    def begins(self, name: str) -> None:
        """Show what is being tried now."""
        self.progress.doing(f"{name:<{_NAME}}{BY_ID[name].tries}")

    def finding(self, finding: Finding) -> None:
        """Show one finding; of what broke, also what was expected and what it costs."""
        self.progress.doing("")
        if self.progress.quiet and finding.verdict != "broke":
            return
        verdict = click.style(f"{finding.verdict:<{_VERDICT}}", fg=_COLOURS[finding.verdict])
        if finding.verdict != "broke":
            self._row(f"{finding.id:<{_NAME}}{verdict}", finding.sentence)
            return
        self._row(f"{finding.id:<{_NAME}}{verdict}", finding.tries)
        for label, text in (
            ("expected", finding.expected),
            ("happened", finding.sentence),
            ("matters", finding.why),
        ):
            if text:
                self._row(f"{'':<{_NAME + 2}}{label:<{_VERDICT - 2}}", text)

    def end(self, report: Report) -> None:
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
        self._figures("Beside the chaos", report.neighbour)
        self._verdict(report, "\n")

    def _verdict(self, report: Report, before: str) -> None:
        broke = report.count("broke")
        word = "Held" if report.ok else "Broke" if broke else "Not finished"
        said = f"{report.count('held')} held, {broke} broke, {report.count('not judged')} not judged"
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
