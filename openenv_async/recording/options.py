"""Options of recordings: their folder, redacted fields and size limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """How sessions are recorded. Sizes are in bytes.

    Raises:
        ValueError: a size is below 1, or the total is less than one file.
    """

    folder: Path
    """Created with mode 0700 if it does not exist."""

    redact: tuple[str, ...] = ()
    """Fields whose values are replaced: names (`password`, anywhere) or paths (`request.user.name`)."""

    max_file_bytes: int = 64 * MIB
    """Limit of one file. A longer session is continued in another file."""

    max_total_bytes: int = 1024 * MIB
    """Limit of all recordings in the folder. Beyond it, the oldest are removed."""

    max_queued_bytes: int = 32 * MIB
    """Limit of calls that wait to be written. Beyond it, calls are left out; the file and the log count them."""

    max_value_bytes: int = 8 * MIB
    """Limit of one action, observation or state. A larger one is left out, and its size is recorded."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("max_file_bytes", "max_total_bytes", "max_queued_bytes", "max_value_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"RecordOptions.{name} must be 1 or more, not {getattr(self, name)!r}")
        if self.max_total_bytes < self.max_file_bytes:
            raise ValueError("RecordOptions.max_total_bytes must not be less than max_file_bytes")
