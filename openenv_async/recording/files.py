"""The folder of recordings: file names, size limits, and removal of the oldest files.

Each file begins with the session's first line. A full file is continued in another part. At most `MOST_OPEN` files
are open at once. `writer` decides what is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

MOST_OPEN = 64

_NAME = re.compile(r"\d{8}T\d{6}-[\w.-]*-[0-9a-f]+(\.\d+)?\.jsonl")
_ODD = re.compile(r"[^A-Za-z0-9_-]+")


class SessionFile:
    """The file of one session, or its newest part."""

    __slots__ = ("descriptor", "first", "part", "path", "size", "stem")

    def __init__(self, stem: str, first: Callable[[int], bytes]) -> None:
        self.stem = stem
        self.first = first
        """Returns the first line of a part, by its number."""
        self.part = 0
        self.path: Path | None = None
        self.size = 0
        self.descriptor: int | None = None


class Files:
    """Writes lines into the files of one folder.

    Args:
        folder: created if it does not exist.
        max_file_bytes: limit of one part.
        max_total_bytes: limit of all recordings in the folder.

    Raises:
        OSError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path, max_file_bytes: int, max_total_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"no permission to write into {folder}")
        self._folder, self._max_file, self._max_total = folder, max_file_bytes, max_total_bytes
        self._open: OrderedDict[SessionFile, None] = OrderedDict()
        found = [(path.stat().st_mtime, path) for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        self._sizes: OrderedDict[Path, int] = OrderedDict((path, path.stat().st_size) for _, path in sorted(found))
        """From the oldest to the newest."""
        self._total = sum(self._sizes.values())

    def begin(self, session_id: str, environment: str, started_at: float, first: Callable[[int], bytes]) -> SessionFile:
        """Return the file of a new session. Nothing is written yet."""
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started_at))
        return SessionFile(f"{moment}-{_ODD.sub('-', environment)[:40]}-{session_id}", first)

    def write(self, file: SessionFile, lines: list[bytes]) -> None:
        """Write lines, each whole or not at all, and remove the written ones from the list.

        Raises:
            OSError: the lines that remain in the list cannot be written.
        """
        while lines:
            if file.path is None or file.path not in self._sizes or file.size + len(lines[0]) > self._max_file:
                self._next_part(file)
            room, count = self._max_file - file.size - len(lines[0]), 1
            while count < len(lines) and len(lines[count]) <= room:
                room -= len(lines[count])
                count += 1
            self._append(file, b"".join(lines[:count]))
            del lines[:count]

    def _next_part(self, file: SessionFile) -> None:
        self.close(file)
        part = file.part + 1
        path = self._folder / (f"{file.stem}.jsonl" if part == 1 else f"{file.stem}.{part}.jsonl")
        file.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        file.path, file.part, file.size = path, part, 0
        self._sizes[path] = 0
        self._keep_open(file)
        self._append(file, file.first(part))

    def _append(self, file: SessionFile, data: bytes) -> None:
        assert file.path is not None
        if file.descriptor is None:
            file.descriptor = os.open(file.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._keep_open(file)
        self._open.move_to_end(file)
        try:
            written = os.write(file.descriptor, data)
            while written < len(data):
                written += os.write(file.descriptor, data[written:])
        except OSError:
            # Half a line would make the file unreadable.
            with contextlib.suppress(OSError):
                os.ftruncate(file.descriptor, file.size)
            raise
        file.size += len(data)
        self._sizes[file.path] = file.size
        self._total += len(data)
        self._make_room(file.path)

    def _make_room(self, but: Path) -> None:
        while self._total > self._max_total:
            oldest = next((path for path in self._sizes if path != but), None)
            if oldest is None:
                return
            self._total -= self._sizes.pop(oldest)
            # If its session is still open, the next line begins another part.
            with contextlib.suppress(OSError):
                oldest.unlink()

    def _keep_open(self, file: SessionFile) -> None:
        self._open[file] = None
        if len(self._open) > MOST_OPEN:
            self.close(next(iter(self._open)))

    def close(self, file: SessionFile) -> None:
        """Close a session's file. Writing opens it again."""
        self._open.pop(file, None)
        if file.descriptor is not None:
            descriptor, file.descriptor = file.descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def close_all(self) -> None:
        """Close every file."""
        for file in list(self._open):
            self.close(file)
