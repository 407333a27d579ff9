"""Collects what one look at a file finds: problems with their place, or that there are none."""

from __future__ import annotations

from openenv_async.validation.checks import Check, Level, Result

Place = tuple[int | None, int | None]
"""Line and column, counted from 1."""

NOWHERE: Place = (None, None)


class Findings:
    """The checks of one name, about one file."""

    def __init__(self, name: str, file: str | None = None, level: Level = "static") -> None:
        self._name, self._file, self._level = name, file, level
        self.checks: list[Check] = []

    def failed(self, sentence: str, at: Place = NOWHERE, hint: str | None = None, file: str | None = None) -> None:
        """Note what keeps the environment from working."""
        self._add("failed", sentence, at, hint, file)

    def warned(self, sentence: str, at: Place = NOWHERE, hint: str | None = None, file: str | None = None) -> None:
        """Note what works and should still be looked at."""
        self._add("warned", sentence, at, hint, file)

    def skipped(self, sentence: str, hint: str | None = None) -> list[Check]:
        """Say why there was no look, and give the checks."""
        self._add("skipped", sentence, NOWHERE, hint, None)
        return self.checks

    def done(self, sentence: str) -> list[Check]:
        """Give the checks; one that says `sentence` when nothing was found."""
        if not self.checks:
            self._add("ok", sentence, NOWHERE, None, None)
        return self.checks

    def _add(self, result: Result, sentence: str, at: Place, hint: str | None, file: str | None) -> None:
        place = file or self._file
        self.checks.append(
            Check(
                name=self._name,
                level=self._level,
                result=result,
                sentence=sentence,
                hint=hint,
                file=place,
                line=at[0],
                column=at[1],
            )
        )
