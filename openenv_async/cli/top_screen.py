"""Full-screen display of `openenv top`, drawn with rich; restores the terminal afterwards."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from openenv_async.cli.session_table import COLUMNS, cells, span, summary

_LINES_ABOVE = 6
_MOST_ASKED = 1000

_STATES = {"busy": "green", "ready": "", "opening": "yellow", "detached": "magenta", "broken": "red"}
_LEAST_ID = 8
"""Characters of a session's id that are always shown, also on a narrow terminal."""


class Screen:
    """The screen. Use it in a `with` block, which restores the terminal however it ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, transient=True)
        self._said: dict[str, Any] | None = None
        self._rate: float | None = None
        self._gone_since: float | None = None
        self._news = ""

    @property
    def rows(self) -> int:
        """Number of sessions that fit on the screen."""
        return min(_MOST_ASKED, max(1, self._console.size.height - _LINES_ABOVE))

    def show(self, said: dict[str, Any], rate: float | None) -> None:
        """Draw the server's answer."""
        if self._said is not None and self._said["server"]["id"] != said["server"]["id"]:
            self._news = f"another server since {time.strftime('%H:%M:%S')}: it was restarted"
        elif self._gone_since is not None:
            self._news = f"back since {time.strftime('%H:%M:%S')}, after {span(time.monotonic() - self._gone_since)}"
        self._said, self._rate, self._gone_since = said, rate, None
        self._draw()

    def gone(self, why: str) -> None:
        """Draw the server's last answer, and that it no longer answers."""
        if self._gone_since is None:
            self._gone_since = time.monotonic()
        self._news = f"gone for {span(time.monotonic() - self._gone_since)}, waiting for it: {why}"
        self._draw()

    def _draw(self) -> None:
        assert self._said is not None
        gone = self._gone_since is not None
        head, *more = summary(self._said, None if gone else self._rate)
        lines: list[RenderableType] = [Text(f"{self._url}  {head}", style="bold", no_wrap=True, overflow="ellipsis")]
        lines += [Text(line, no_wrap=True, overflow="ellipsis") for line in more]
        lines.append(Text(self._news, style="bold red" if gone else "yellow", no_wrap=True, overflow="ellipsis"))
        self._live.update(Group(*lines, self._table(dim=gone)), refresh=True)

    def _table(self, *, dim: bool) -> Table:
        assert self._said is not None
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="reverse", style="dim" if dim else "")
        rows = [cells(row) for row in self._said["sessions"][: self.rows]]
        shown, id_width = self._fitting(rows)
        for column in COLUMNS[:shown]:
            table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
        table.columns[0].width = id_width
        for row, line in zip(self._said["sessions"], rows, strict=False):
            table.add_row(*map(Text, line[:shown]), style="dim" if dim else _STATES.get(row.get("state", ""), ""))
        return table

    def _fitting(self, rows: list[list[str]]) -> tuple[int, int]:
        """Return the number of columns that fit, and the characters of an id that fit beside them."""
        widths = [max([len(column.title), *(len(row[at]) for row in rows)]) for at, column in enumerate(COLUMNS)]
        room = self._console.size.width - _LEAST_ID - 1
        shown = 1
        for width in widths[1:]:
            if width + 1 > room:
                break
            room -= width + 1
            shown += 1
        return shown, min(widths[0], _LEAST_ID + room)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()
