"""The build context: what the engine gets to build from, as a tar archive with a digest.

Owns which files go in (`.dockerignore`, with Docker's meaning of its patterns)
and how they are written: sorted, with one date and one owner, so that the same
files give the same digest on every machine. `build` sends it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import pathspec

from openenv_async.images.errors import ContextError

IGNORE_FILE = ".dockerignore"
# 1980, and not 1970: a zip archive, a wheel for one, cannot be made of files from before that.
_DATE = 315_532_800
_IN_MEMORY = 16 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Files of a folder, and others laid over them."""

    folder: Path
    dockerfile: str = "Dockerfile"
    """Its path inside the context; it is sent even if ignored, as the engine must read it."""

    overlay: Mapping[str, bytes] = field(default_factory=dict)
    """Files that are added, or that take the place of the folder's, by their path inside."""

    private: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Files that are added and belong to this machine: they do not count in the digest."""

    def files(self) -> list[str]:
        """Give the paths of the folder's files and folders that go in, sorted.

        Raises:
            ContextError: the folder or its `.dockerignore` cannot be read, or it holds what no archive takes.
        """
        rules = _rules(self.folder, self.dockerfile)
        always = (self.dockerfile, IGNORE_FILE)
        kept = {path for path in _walk(self.folder, rules) if not rules.match_file(path)}
        return sorted(kept | {path for path in always if (self.folder / path).is_file()})

    def write(self) -> Archive:
        """Write the archive. Close what is returned.

        Raises:
            ContextError: a file cannot be read.
        """
        target = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)
        try:
            hashing = _Hashing(target)
            with tarfile.open(fileobj=hashing, mode="w", format=tarfile.PAX_FORMAT) as tar:
                names = self.files()
                for name in sorted({*names, *self.overlay}):
                    self._add(tar, name)
                digest = hashing.digest.hexdigest()
                for name, data in sorted(self.private.items()):
                    _add_bytes(tar, name, data)
            size = target.tell()
            target.seek(0)
        except BaseException:
            target.close()
            raise
        files = sum(not (self.folder / name).is_dir() for name in names)
        return Archive(file=target, digest=f"sha256:{digest}", files=files, size=size)

    def _add(self, tar: tarfile.TarFile, name: str) -> None:
        data = self.overlay.get(name)
        if data is not None:
            _add_bytes(tar, name, data)
            return
        path = self.folder / name
        try:
            info = _entry(name, path.lstat().st_mode)
            if info.issym():
                info.linkname = os.readlink(path)
            if not info.isreg():
                tar.addfile(info)
                return
            # Whole, because a size that changes on the way would spoil the archive.
            data = path.read_bytes()
        except OSError as error:
            raise ContextError(
                f"{path} cannot be read ({error.strerror}): mend it, or name it in {IGNORE_FILE}"
            ) from error
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A context that is ready to be sent."""

    file: IO[bytes]
    digest: str
    """Of what went in, without what belongs to this machine: `sha256:...`."""

    files: int
    size: int

    def close(self) -> None:
        """Drop the archive."""
        self.file.close()


class _Hashing(io.RawIOBase):
    """Passes bytes on to a file, and takes their digest."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._target.tell()

    def write(self, data: object) -> int:
        assert isinstance(data, (bytes, bytearray, memoryview))
        self.digest.update(data)
        return self._target.write(data)


def _rules(folder: Path, dockerfile: str) -> pathspec.PathSpec[pathspec.Pattern]:
    """Give the rules of what stays out. A `<Dockerfile>.dockerignore` comes before the folder's own."""
    for name in (f"{dockerfile}{IGNORE_FILE}", IGNORE_FILE):
        try:
            text = (folder / name).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeError) as error:
            raise ContextError(f"{folder / name} cannot be read: {error}") from error
        try:
            return pathspec.PathSpec.from_lines("gitignore", map(_as_git, text.splitlines()))
        except ValueError as error:
            raise ContextError(f"{folder / name}: {error}") from error
    return pathspec.PathSpec([])


def _as_git(line: str) -> str:
    """Say the same in the patterns of Git: Docker's begin at the root, and a slash at the end means nothing."""
    if line.startswith("#") or not line.strip():
        return ""
    line = line.strip()
    negated = line.startswith("!")
    path = PurePosixPath("/", line.removeprefix("!").strip().lstrip("/"))
    inside = "/".join(part for part in path.parts[1:] if part != ".")
    return f"{'!' if negated else ''}/{inside}" if inside else ""


def _walk(folder: Path, rules: pathspec.PathSpec[pathspec.Pattern]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise ContextError(f"{error.filename} cannot be read ({error.strerror}): mend it, or name it in {IGNORE_FILE}")

    # With an exception among the rules, something in an ignored folder may still be wanted.
    prune = not any(pattern.include is False for pattern in rules.patterns)
    for root, folders, files in os.walk(folder, onerror=refuse):
        inside = Path(root).relative_to(folder)
        if prune:
            folders[:] = [name for name in folders if not rules.match_file((inside / name).as_posix())]
        for name in [*files, *folders]:
            yield (inside / name).as_posix()


def _entry(name: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mtime = _DATE
    info.mode = 0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644
    if stat.S_ISLNK(mode):
        info.type, info.mode = tarfile.SYMTYPE, 0o777
    elif stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
    elif not stat.S_ISREG(mode):
        raise ContextError(f"{name} is neither a file nor a folder: name it in {IGNORE_FILE}")
    return info


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = _entry(name, stat.S_IFREG)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
