"""What of a recorded value is not written: fields that the operator named, and secrets that the server knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from openenv_async.recording.values import Path

REDACTED = "[redacted]"

_ALIASES = {"action": "request"}


class Redactor:
    """Replaces values; give its `change` to `to_json`.

    Args:
        fields: names or dotted paths. A value is replaced where the last names of its path are these:
            `password` everywhere, `user.name` in every `user`, `observation.text` at that one place.
        clean: takes the secrets out of a text.
    """

    def __init__(self, fields: Iterable[str], clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._fields: set[Path] = set()
        for field in fields:
            first, *rest = field.split(".")
            self._fields.add((_ALIASES.get(first, first) if rest else first, *rest))
        self._lengths = sorted({len(field) for field in self._fields})

    def change(self, path: Path, value: Any) -> Any:
        """Give what is to be written in place of a value."""
        for length in self._lengths:
            if path[-length:] in self._fields:
                return REDACTED
        return self._clean(value) if type(value) is str else value
