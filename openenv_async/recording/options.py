"""Where recordings go, what is left out of them, and how much there may be of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """How sessions are recorded; sizes are in bytes.

    Raises:
        ValueError: a size that leaves no room for a line.
    """

    folder: Path
    """Made if it is not there, for its owner alone."""

    redact: tuple[str, ...] = ()
    """Fields whose values are replaced: a name (`password`, wherever it stands) or a path (`request.user.name`)."""

    max_file_bytes: int = 64 * MIB
    """Of one file; a session that goes on is continued in another."""

    max_total_bytes: int = 1024 * MIB
    """Of all recordings in the folder; beyond it the oldest are removed."""

    max_queued_bytes: int = 32 * MIB
    """Of calls that wait to be written; beyond it calls are left out, counted, and told."""

    max_value_bytes: int = 8 * MIB
    """Of one action, observation or state; a larger one is left out, and its size told."""

    def __post_init__(self) -> None:
        """Refuse sizes that leave no room."""
        for name in ("max_file_bytes", "max_total_bytes", "max_queued_bytes", "max_value_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"RecordOptions.{name} must be 1 or more, not {getattr(self, name)!r}")
        if self.max_total_bytes < self.max_file_bytes:
            raise ValueError("RecordOptions.max_total_bytes must not be less than max_file_bytes")
