"""What a driver and the harness say to each other: one JSON object per line, over stdin and stdout.

A driver opens with `{"ready": true, ...}`; then each order gets one answer. Orders:
`run` (`seconds`), `open` (`sessions`, the new total), `end`. A driver that fails answers `{"error": ...}`.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any


def tell(**answer: Any) -> None:
    """Answer the harness."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def hear() -> dict[str, Any]:
    """Wait for the next order. A harness that is gone means `end`."""
    line = sys.stdin.readline()
    order: dict[str, Any] = json.loads(line) if line.strip() else {"do": "end"}
    return order


def options() -> dict[str, Any]:
    """Give the options that the harness wrote on the command line."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def run(main: Callable[[], None]) -> None:
    """Run a driver; what goes wrong is told, and written to stderr in full."""
    try:
        main()
    except Exception as exc:
        traceback.print_exc()
        tell(error=f"{type(exc).__name__}: {exc}")
        raise SystemExit(1) from exc
