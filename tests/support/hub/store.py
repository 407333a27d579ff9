"""What the suite's Hub remembers: people, tokens, repositories and their commits.

Plain objects, no HTTP: `repos` and `files` answer from them. Digests are
git's own, so that the real client's comparisons hold.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

GIT_ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.zip filter=lfs diff=lfs merge=lfs -text\n"


@dataclass(frozen=True)
class User:
    name: str
    organizations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Token:
    user: str
    role: str = "write"


@dataclass(frozen=True)
class Blob:
    """One file: its bytes, or for a large one the digest of what is stored apart."""

    content: bytes
    sha256: str | None = None
    size: int = 0

    @property
    def oid(self) -> str:
        data = self.content
        if self.sha256 is not None:
            data = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()
        return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


def regular(content: bytes) -> Blob:
    return Blob(content, None, len(content))


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repo:
    """A Space, model or data set."""

    name: str
    kind: str
    private: bool = False
    sdk: str | None = None
    hardware: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    refs: dict[str, Commit] = field(default_factory=dict)
    history: list[Commit] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    host: str | None = None
    """Where the Space answers; None: an address that nobody can reach from here."""
    stages: list[str] = field(default_factory=list)
    """What the runtime says of the Space, one after the other; the last one stays."""

    @property
    def owner(self) -> str:
        return self.name.split("/")[0]

    def at(self, revision: str) -> Commit | None:
        return self.refs.get(revision) or next((each for each in self.history if each.oid == revision), None)

    def commit(self, title: str, files: dict[str, Blob], ref: str = "main") -> Commit:
        text = f"{self.name} {len(self.history)} {title} {sorted((path, blob.oid) for path, blob in files.items())}"
        made = Commit(hashlib.sha1(text.encode()).hexdigest(), title, files)
        self.history.append(made)
        self.refs[ref] = made
        return made

    def files(self, ref: str = "main") -> dict[str, bytes]:
        """What a clone would have."""
        return {
            path: blob.content if blob.sha256 is None else self.objects[blob.sha256]
            for path, blob in self.refs[ref].files.items()
        }


@dataclass
class Store:
    """Everything, and the switches that tests turn."""

    storage: str
    """Where large files are: another origin than the Hub's, as in real life."""

    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    commits: list[list[dict[str, Any]]] = field(default_factory=list)
    """The lines of each commit that was asked for."""
    stored: list[str] = field(default_factory=list)
    """Digests in the order in which they were uploaded."""

    large_from: int = 10 * 1024 * 1024
    largest: int = 50 * 1024 * 1024
    body_limit: int = 100 * 1024 * 1024
    stall_after: int | None = None
    """So many uploads are taken; the next is read to its end and never answered."""
    stalled: threading.Event = field(default_factory=threading.Event)
    broken: str | None = None
    """Requests whose path has this get a 503."""
    counter: itertools.count[int] = field(default_factory=itertools.count)

    def add_user(self, name: str, *organizations: str) -> str:
        """Give a user's token."""
        self.users[name] = User(name, organizations)
        return self.add_token(name)

    def add_token(self, user: str, role: str = "write") -> str:
        token = f"hf_{user}{role}{next(self.counter)}"
        self.tokens[token] = Token(user, role)
        return token

    def add_repo(self, name: str, kind: str = "space", files: dict[str, bytes] | None = None, **options: Any) -> Repo:
        repo = Repo(name, kind, **options)
        blobs = {path: regular(content) for path, content in (files or {}).items()}
        repo.commit("initial commit", {".gitattributes": regular(GIT_ATTRIBUTES)} | blobs)
        self.repos[kind, name] = repo
        return repo

    def space(self, name: str) -> Repo:
        return self.repos["space", name]

    def may_write(self, token: Token | None, owner: str) -> bool:
        if token is None or token.role == "read":
            return False
        return owner == token.user or owner in self.users[token.user].organizations

    def may_read(self, token: Token | None, repo: Repo) -> bool:
        if not repo.private:
            return True
        return token is not None and (repo.owner == token.user or repo.owner in self.users[token.user].organizations)
