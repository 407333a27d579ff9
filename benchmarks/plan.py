"""What every measure is told: how many rounds, how long, where the peer is, and where to say what happens.

Owns no measuring. `__main__` makes one `Plan`; `measures` read it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Plan:
    """One run of the benchmark."""

    peer: Path
    """The Python of the peer's virtual environment."""

    rounds: int = 5
    """Rounds of each side, alternating."""

    seconds: float = 2.5
    """Length of one round of one side."""

    quick: bool = False
    """Fewer points, not only fewer rounds."""

    quiet: bool = False
    """Report nothing on the way."""

    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Report progress, on stderr: stdout is the table's."""
        if self.quiet:
            return
        sys.stderr.write(f"[{time.monotonic() - self.started:5.0f} s] {text}\n")
        sys.stderr.flush()
