"""Reader of recordings, written by this release, a later one, or the web page.

Unknown keys and line types are skipped, and a file that ends early is read up to there. Anything else that is wrong
raises `UnusableRecording` with the number of the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openenv_async.recording.lines import VERSION
from openenv_async.recording.values import from_json

_KINDS = ("reset", "step", "state")
_VALUES = ("request", "observation", "reward", "done", "truncated", "metadata", "state")


class UnusableRecording(ValueError):
    """The file cannot be used as a recording; the text names the file and the line."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call with its decoded values."""

    line: int
    kind: str
    at: float | None
    latency_ms: float | None
    request: Any = None
    observation: Any = None
    reward: Any = None
    done: Any = False
    truncated: Any = False
    metadata: Any = None
    state: Any = None
    warnings: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    left_out: tuple[str, ...] = ()
    """Values that were too large to be recorded: `request`, `observation`."""


@dataclass(slots=True)
class RecordedEpisode:
    """A reset and the calls after it."""

    number: int
    calls: list[RecordedCall] = field(default_factory=list)
    missing: int = 0
    """Number of calls after these that were left out. Later calls of the episode are not in `calls`."""


@dataclass(slots=True)
class Recording:
    """A recorded session."""

    path: Path
    session: dict[str, Any]
    """Its first line."""
    episodes: list[RecordedEpisode] = field(default_factory=list)
    end: dict[str, Any] | None = None
    """Its last line; None if the file ends early."""
    notes: list[str] = field(default_factory=list)
    """Remarks on what is missing, as sentences."""

    @property
    def redacted(self) -> tuple[str, ...]:
        """The fields whose values were replaced."""
        return tuple(map(str, self.session.get("redacted") or ()))


def read_recording(path: Path) -> Recording:
    """Read a file.

    Raises:
        UnusableRecording: it cannot be read, or is not a recording.
    """
    lines = _objects(path)
    number, first = next(lines, (0, None))
    if first is None or first.get("type") != "session":
        what = "is empty" if first is None else f"line {number} is not a `session` line, with which a recording begins"
        raise UnusableRecording(f"{path}: {what}")
    version = first.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise UnusableRecording(f"{path}: line {number}: version {version!r} is not known here; upgrade openenv-async")
    recording = Recording(path, first)
    if (first.get("part") or 1) != 1:
        recording.notes.append(f"this is part {first['part']} of a session, whose beginning is in another file")
    reader = _Reader(recording)
    for number, line in lines:
        if line is None:
            recording.notes.append(f"line {number}, the last one, is cut short and was skipped")
        else:
            reader.take(number, line)
    if recording.end is None:
        recording.notes.append("it has no `end` line: the session was still open, or the server was killed")
    return recording


class _Reader:
    """Collects lines into episodes."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._skipping = False

    def take(self, number: int, line: dict[str, Any]) -> None:
        kind = line.get("type")
        if kind == "end":
            self._recording.end = line
        elif kind == "gap":
            calls = line.get("calls")
            text = f"line {number}: {calls} calls are missing ({line.get('reason', 'no reason given')})"
            self._recording.notes.append(text)
            self._skipping = True
            if self._recording.episodes:
                self._recording.episodes[-1].missing += calls if isinstance(calls, int) else 1
        elif kind in _KINDS:
            self._call(number, line)

    def _call(self, number: int, line: dict[str, Any]) -> None:
        call = self._read(number, line)
        episodes = self._recording.episodes
        if call.kind == "reset":
            self._skipping = False
        if call.kind == "reset" or not episodes:
            episodes.append(RecordedEpisode(len(episodes) + 1))
        if not self._skipping:
            episodes[-1].calls.append(call)

    def _read(self, number: int, line: dict[str, Any]) -> RecordedCall:
        where = f"{self._recording.path}: line {number}"
        values = {}
        for name in _VALUES:
            if name in line:
                try:
                    values[name] = from_json(line[name])
                except ValueError as exc:
                    raise UnusableRecording(f"{where}: {name}: {exc}") from exc
        request, error = values.get("request"), line.get("error")
        if request is not None and not isinstance(request, dict):
            # The server answered such a request with an error; a replay sends none.
            request = None
        if error is not None and not isinstance(error, dict):
            raise UnusableRecording(f"{where}: `error` is not an object")
        left_out = line.get("left_out")
        return RecordedCall(
            line=number,
            kind=line["type"],
            at=_number(line.get("at")),
            latency_ms=_number(line.get("latency_ms")),
            warnings=tuple(map(str, line.get("warnings") or ())),
            error=error,
            left_out=tuple(left_out) if isinstance(left_out, dict) else (),
            **(values | {"request": request}),
        )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the number and object of each line; None for a last line that is cut short."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if not raw.strip():
                    continue
                try:
                    value = json.loads(raw)
                except (ValueError, RecursionError) as exc:
                    if not raw.endswith(b"\n") and number > 1:
                        yield number, None
                        return
                    raise UnusableRecording(f"{path}: line {number} is not JSON: {exc}") from exc
                if not isinstance(value, dict):
                    raise UnusableRecording(f"{path}: line {number} is not a JSON object")
                yield number, value
    except OSError as exc:
        raise UnusableRecording(f"{path} cannot be read: {exc.strerror or exc}") from exc
