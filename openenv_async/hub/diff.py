"""What a repository has already, and what would change.

Owns the comparison by digest: a regular file by git's own, a large one by its
SHA-256, as the listing gives them. Nothing is downloaded. `publishing` sends the
difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile

from openenv_async.hub.space_files import Contents, Piece

_KEPT = ".gitattributes"  # the Hub's own: without it large files are no longer large files
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between the contents and a repository."""

    new: Mapping[str, Piece]
    changed: Mapping[str, Piece]
    unchanged: tuple[str, ...]
    deleted: tuple[str, ...]

    @property
    def sent(self) -> dict[str, Piece]:
        """The files to be sent, in order."""
        return dict(sorted({**self.new, **self.changed}.items()))

    @property
    def size(self) -> int:
        """Bytes to be sent."""
        return sum(piece.size for piece in self.sent.values())

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.new or self.changed or self.deleted)


class Remote(Protocol):
    """A file in a repository's listing."""

    @property
    def path(self) -> str:
        """In the repository."""

    @property
    def digest(self) -> str:
        """SHA-256 of a large file, else git's digest."""

    @property
    def large(self) -> bool:
        """Whether it is stored apart."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the Hub lists it."""

    path: str
    digest: str
    large: bool


def list_files(api: HfApi, repo_id: str) -> list[RemoteFile]:
    """List the files of a Space."""
    entries = api.list_repo_tree(repo_id, recursive=True, repo_type="space")
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    return [
        RemoteFile(file.path, file.lfs.sha256 if file.lfs else file.blob_id, file.lfs is not None) for file in files
    ]


def compare(contents: Contents, remote: Iterable[Remote], delete: Iterable[str] = ()) -> Changes:
    """Tell what of the contents a repository lacks.

    Args:
        contents: what it shall hold.
        remote: what it holds.
        delete: patterns of files to be deleted there, as in `hf upload --delete`; what is in the contents stays.
    """
    there = {file.path: file for file in remote}
    new, changed, unchanged = {}, {}, []
    for path, piece in contents.pieces.items():
        file = there.get(path)
        if file is None:
            new[path] = piece
        elif _digest(piece, file.large) != file.digest:
            changed[path] = piece
        else:
            unchanged.append(path)
    # `old/` is all that is in it; as with the Hub's own client, * goes across folders.
    patterns = [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in delete]
    strangers = [path for path in there if path not in contents.pieces and path != _KEPT]
    deleted = sorted(path for path in strangers if any(fnmatchcase(path, pattern) for pattern in patterns))
    return Changes(new, changed, tuple(unchanged), tuple(deleted))


def _digest(piece: Piece, large: bool) -> str:
    digest = hashlib.sha256() if large else hashlib.sha1(f"blob {piece.size}\0".encode(), usedforsecurity=False)
    if isinstance(piece.source, bytes):
        digest.update(piece.source)
        return digest.hexdigest()
    with piece.source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
