"""The build context: the files that the engine builds from, as a tar archive with a digest.

`.dockerignore`, with Docker's meaning of its patterns, decides which files are in it.
They are written in order, with one date and one owner, so that the same files have the
same digest on every machine.
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
# 1980 and not 1970, because a zip archive, such as a wheel, cannot hold older files.
_DATE = 315_532_800
_IN_MEMORY = 16 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildContext:
    """Files of a folder, and others that are added or replace them."""

    folder: Path
    dockerfile: str = "Dockerfile"
    """Its path inside the context; it is sent even if ignored, as the engine must read it."""

    overlay: Mapping[str, bytes] = field(default_factory=dict)
    """Files that are added, or that replace the folder's, by their path inside."""

    private: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Files of this machine that are added; the digest does not include them."""

    def files(self) -> list[str]:
        """Return the paths of the folder's files and folders that are included, sorted.

        Raises:
            ContextError: the folder or its `.dockerignore` cannot be read, or it contains a special file.
        """
        rules = _rules(self.folder, self.dockerfile)
        always = (self.dockerfile, IGNORE_FILE)
        kept = {path for path in _walk(self.folder, rules) if not rules.match_file(path)}
        return sorted(kept | {path for path in always if (self.folder / path).is_file()})

    def write(self) -> Archive:
        """Write the archive. The caller closes it.

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
            # At once, because a size that changes while reading would corrupt the archive.
            data = path.read_bytes()
        except OSError as error:
            raise ContextError(
                f"{path} cannot be read ({error.strerror}): fix it, or name it in {IGNORE_FILE}"
            ) from error
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A context that is ready to be sent."""

    file: IO[bytes]
    digest: str
    """`sha256:...` of the files, without those of this machine."""

    files: int
    size: int

    def close(self) -> None:
        """Delete the archive."""
        self.file.close()


class _Hashing(io.RawIOBase):
    """Writes bytes to a file and hashes them."""

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
    """Return the rules of files to leave out. A `<Dockerfile>.dockerignore` replaces the folder's own."""
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
    """Translate a pattern to Git's: Docker's begin at the root, and a slash at the end means nothing."""
    if line.startswith("#") or not line.strip():
        return ""
    line = line.strip()
    negated = line.startswith("!")
    path = PurePosixPath("/", line.removeprefix("!").strip().lstrip("/"))
    inside = "/".join(part for part in path.parts[1:] if part != ".")
    return f"{'!' if negated else ''}/{inside}" if inside else ""


def _walk(folder: Path, rules: pathspec.PathSpec[pathspec.Pattern]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise ContextError(f"{error.filename} cannot be read ({error.strerror}): fix it, or name it in {IGNORE_FILE}")

    # With an exception among the rules, a file in an ignored folder may still be included.
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
