"""The picture: what was measured on both sides, and every ratio beside its goal. Needs matplotlib."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.report import figure, goal_text
from benchmarks.rounds import Row

OURS, PEER, GOAL = "#1b7f79", "#c98b2b", "#444444"


def draw(rows: Sequence[Row], facts: Mapping[str, Any], folder: Path) -> Path:
    """Write `bench.png`."""
    good = [row for row in rows if row.error is None and row.ours]
    panels: list[tuple[str, list[Row]]] = [
        ("steps/s (more is better)", [row for row in good if row.unit == "steps/s"]),
        ("time and memory (less is better)", [row for row in good if row.unit != "steps/s"]),
    ]
    panels = [(title, chosen) for title, chosen in panels if chosen]
    counted = [row for row in good if row.ratio is not None]
    heights = [len(chosen) for _, chosen in panels] + [max(len(counted), 1)]
    total = 1.6 + 0.42 * sum(heights) + 0.9 * len(heights)
    canvas, axes = pyplot.subplots(
        len(heights), 1, figsize=(11, total), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (title, chosen) in zip(axes[:, 0], panels, strict=False):
        _pairs(axis, title, chosen)
    _ratios(axes[-1, 0], counted)
    canvas.suptitle(f"openenv-async beside openenv 0.10.0\n{facts.get('machine', '')}", fontsize=10)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.png"
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)
    return path


def _pairs(axis: Axes, title: str, rows: list[Row]) -> None:
    for place, row in enumerate(rows):
        for values, colour, offset in ((row.ours, OURS, -0.2), (row.peer, PEER, 0.2)):
            if not values:
                continue
            middle = statistics.median(values)
            axis.barh(place + offset, middle, height=0.36, color=colour)
            axis.text(middle, place + offset, f"   {figure(middle)} {row.unit}", va="center", fontsize=7)
            # Every round as a dot, so that the noise is seen.
            axis.plot(values, [place + offset] * len(values), ".", color="black", markersize=2)
    _list(axis, title, rows)
    axis.bar(0, 0, color=OURS, label="openenv-async")
    axis.bar(0, 0, color=PEER, label="openenv 0.10.0 (or as named)")
    axis.legend(fontsize=7, loc="lower right")


def _ratios(axis: Axes, rows: list[Row]) -> None:
    for place, row in enumerate(rows):
        ratio = row.ratio
        if ratio is None:
            continue
        reached = row.reached
        colour = {True: OURS, False: "#b3352f", None: "#9aa5a4"}[reached]
        # From 1x outwards, on a logarithmic axis: twice as fast and half as fast are equally long.
        axis.barh(place, ratio - 1, left=1, height=0.6, color=colour)
        if row.goal is not None and row.goal.target != "value at most":
            axis.plot([row.goal.limit] * 2, [place - 0.4, place + 0.4], color=GOAL, linewidth=2)
        text = f" {figure(ratio)}x" + (f" ({goal_text(row.goal, row.unit)})" if row.goal else "")
        axis.text(max(ratio, 1), place, text, va="center", fontsize=7)
    _list(axis, "ours / peer, with the goal as a bar (red: missed, grey: no goal)", rows)
    axis.axvline(1, color="black", linewidth=0.8)


def _list(axis: Axes, title: str, rows: list[Row]) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.tick_params(axis="x", labelsize=7)
    low, high = axis.get_xlim()
    if low > 0 and math.isfinite(high):
        # Room for the text at the end of the longest bar.
        axis.set_xlim(low, high * 4)
