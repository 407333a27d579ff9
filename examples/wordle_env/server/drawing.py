"""The board as HTML, for the web page (`openenv serve --interface`).

The page shows it in a frame without scripts and network, so styles are inline.
"""

from __future__ import annotations

from html import escape
from typing import Any

LETTERS = 5
COLORS = {"correct": "#2f7d4f", "present": "#8a6a00", "absent": "#5f676d"}
TILE = (
    "display:inline-flex;width:2.6rem;height:2.6rem;margin:0 .3rem .3rem 0;"
    "box-sizing:border-box;align-items:center;justify-content:center;"
    "vertical-align:top;border-radius:.4rem;"
    "font:700 1.3rem system-ui,sans-serif;text-transform:uppercase;"
)


def draw_board(board: list[dict[str, Any]], rows: int) -> str:
    """Draw the guesses with their marks, and a row for each turn that is left."""
    lines = []
    for row in board:
        pairs = zip(row["word"], row["marks"], strict=True)
        lines.append("".join(_tile(letter, COLORS[mark]) for letter, mark in pairs))
    empty = f'<span style="{TILE}border:2px solid #8886"></span>' * LETTERS
    lines += [empty] * (rows - len(lines))
    return "".join(f"<div>{line}</div>" for line in lines)


def _tile(letter: str, color: str) -> str:
    style = f"{TILE}background:{color};color:#fff"
    return f'<span style="{style}">{escape(letter)}</span>'
