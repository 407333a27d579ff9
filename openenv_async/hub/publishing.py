"""Sends an environment to its Space, or proposes it as a pull request.

Files are compared with the repository by digest: a regular file by git's own, a large
one by its SHA-256, as the listing has them. Then, in this order: the Space, its
settings, the large files one by one, and everything in a single commit. So a Space
never shows half an environment, and an interrupted push continues where it was: stored
files are not sent again. A Space that was created for a push which the Hub then refuses
is removed again.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from openenv_async.hub.failures import HubError, in_sentences, status_of
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
        """Whether anything is to be sent or deleted."""
        return bool(self.new or self.changed or self.deleted)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the Hub lists it."""

    path: str
    digest: str
    """SHA-256 of a large file, else git's digest."""
    large: bool
    """The Hub stores it as a large file."""


def list_files(api: HfApi, repo_id: str) -> list[RemoteFile]:
    """List the files of a Space."""
    entries = api.list_repo_tree(repo_id, recursive=True, repo_type="space")
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    return [
        RemoteFile(file.path, file.lfs.sha256 if file.lfs else file.blob_id, file.lfs is not None) for file in files
    ]


def compare(contents: Contents, remote: Iterable[RemoteFile], delete: Iterable[str] = ()) -> Changes:
    """Return what has to change for a repository to have the contents.

    Args:
        contents: the wanted files.
        remote: the files of the repository.
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
    # `old/` means everything in it; as in the Hub's own client, * matches across folders.
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


Tell = Callable[[str], None]
"""Receives one line about each step."""

# Bytes from which a file gets a line, and a request, of its own.
_LARGE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceSettings:
    """The settings of a Space, besides its files."""

    private: bool = False
    """True makes a public Space private; False leaves an existing one as it is."""
    hardware: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The outcome of a push."""

    repo_id: str
    created: bool
    changes: Changes
    url: str
    """The Space's page, or the pull request."""
    app_url: str | None = None
    """The address of its server."""
    private: bool = False


def publish(
    api: HfApi, repo_id: str, contents: Contents, settings: SpaceSettings, delete: Sequence[str], user: str, tell: Tell
) -> Published:
    """Bring the contents and the settings to a Space.

    Args:
        api: the client.
        repo_id: `owner/name`. It is created if it does not exist.
        contents: the files.
        settings: the settings.
        delete: patterns of files to delete there.
        user: the owner of the token, for errors.
        tell: receives a line about each step.

    Raises:
        HubError: see `hub.failures`.
    """
    created = _create(api, repo_id, settings, user)
    tell(f"Created the {'private ' if settings.private else ''}Space {repo_id}" if created else f"Found {repo_id}")
    try:
        _configure(api, repo_id, settings, created, user, tell)
        with in_sentences("Reading the list of files", repo_id, user):
            changes = compare(contents, list_files(api, repo_id), delete)
        if changes:
            _send(api, repo_id, changes, user, tell)
        with in_sentences("Asking for the address", repo_id, user):
            info = api.space_info(repo_id)
    except HubError as error:
        if created:
            raise _undone(api, repo_id, error) from error
        raise
    return Published(
        repo_id=repo_id,
        created=created,
        changes=changes,
        url=page_of(api, repo_id),
        app_url=info.host or None,
        private=bool(info.private),
    )


def propose(api: HfApi, repo_id: str, contents: Contents, delete: Sequence[str], user: str, tell: Tell) -> Published:
    """Open a pull request that brings the contents to a Space; none if it has them already.

    Raises:
        HubError: see `hub.failures`; also when the Space does not exist.
    """
    with in_sentences("Reading the list of files", repo_id, user):
        changes = compare(contents, list_files(api, repo_id), delete)
    url = _send(api, repo_id, changes, user, tell, create_pr=True) if changes else None
    return Published(repo_id=repo_id, created=False, changes=changes, url=url or page_of(api, repo_id))


def preview(api: HfApi, repo_id: str, contents: Contents, delete: Sequence[str], user: str) -> Changes | None:
    """Return what would be sent; `None` when the Space does not exist. Nothing is changed."""
    with in_sentences("Reading the list of files", repo_id, user):
        try:
            return compare(contents, list_files(api, repo_id), delete)
        except RepositoryNotFoundError:
            return None


def page_of(api: HfApi, repo_id: str) -> str:
    """Return the address of a Space's page."""
    return f"{api.endpoint}/spaces/{repo_id}"


def _create(api: HfApi, repo_id: str, settings: SpaceSettings, user: str) -> bool:
    options: dict[str, Any] = {"space_hardware": settings.hardware} if settings.hardware else {}
    with in_sentences("Creating the Space", repo_id, user):
        try:
            api.create_repo(repo_id, repo_type="space", space_sdk="docker", private=settings.private or None, **options)
        except HfHubHTTPError as error:
            # A token may lack the right to create and yet have the right to write.
            if status_of(error) == 409 or (status_of(error) in (402, 403) and _exists(api, repo_id)):
                return False
            raise
    return True


def _exists(api: HfApi, repo_id: str) -> bool:
    return api.repo_exists(repo_id, repo_type="space")


def _configure(api: HfApi, repo_id: str, settings: SpaceSettings, created: bool, user: str, tell: Tell) -> None:
    """Change the settings, before the files: the first build needs them, and nothing private is public for a while."""
    if not created:
        with in_sentences("Changing the settings", repo_id, user):
            _adjust(api, repo_id, settings, tell)
    with in_sentences("Setting the variables", repo_id, user):
        # Setting a variable restarts the Space.
        there = api.get_space_variables(repo_id) if settings.variables and not created else {}
        for key, value in settings.variables.items():
            if key not in there or there[key].value != value:
                api.add_space_variable(repo_id, key, value)
                tell(f"Set the variable {key}")
    with in_sentences("Setting the secrets", repo_id, user):
        for key, value in settings.secrets.items():
            api.add_space_secret(repo_id, key, value)
            tell(f"Set the secret {key}")


def _adjust(api: HfApi, repo_id: str, settings: SpaceSettings, tell: Tell) -> None:
    if settings.private and not api.space_info(repo_id).private:
        api.update_repo_settings(repo_id, private=True, repo_type="space")
        tell(f"Made {repo_id} private")
    if settings.hardware is not None:
        runtime = api.get_space_runtime(repo_id)
        if settings.hardware not in (runtime.requested_hardware, runtime.hardware):
            hardware: Any = settings.hardware  # the client lists those known at its release; the Hub decides
            api.request_space_hardware(repo_id, hardware)
            tell(f"Requested the hardware {settings.hardware}")


def _send(api: HfApi, repo_id: str, changes: Changes, user: str, tell: Tell, *, create_pr: bool = False) -> str | None:
    additions = {path: CommitOperationAdd(path, _source(piece)) for path, piece in changes.sent.items()}
    for path, piece in changes.sent.items():
        if piece.size >= _LARGE:
            tell(f"Sending {path} ({readable(piece.size)})")
            with in_sentences(f"Sending {path}", repo_id, user):
                _store(api, repo_id, [additions[path]], create_pr)
    small = [path for path, piece in changes.sent.items() if piece.size < _LARGE]
    total = sum(changes.sent[path].size for path in small)
    tell(f"Sending {counted(len(small), 'file')} ({readable(total)})" if small else "Publishing them")
    with in_sentences("Sending the files", repo_id, user), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        _store(api, repo_id, [additions[path] for path in small], create_pr)
        commit = api.create_commit(
            repo_id,
            [*additions.values(), *(CommitOperationDelete(path) for path in changes.deleted)],
            commit_message="Send the environment with openenv push",
            repo_type="space",
            create_pr=create_pr,
        )
    for warning in heard:
        if issubclass(warning.category, UserWarning):
            tell(" ".join(str(warning.message).split()))
    return commit.pr_url


def _store(api: HfApi, repo_id: str, additions: list[CommitOperationAdd], create_pr: bool) -> None:
    """Send the files that the Hub stores as large files; it answers which those are.

    Done here and not by the commit, because only here can the author's `.gitignore` be left out: it has been
    applied already, and the Hub would silently drop files that it ignores, such as an added wheel.
    """
    if additions:
        api.preupload_lfs_files(
            repo_id, additions, repo_type="space", create_pr=create_pr, free_memory=False, gitignore_content=""
        )


def _source(piece: Piece) -> str | bytes:
    return piece.source if isinstance(piece.source, bytes) else str(piece.source)


def _undone(api: HfApi, repo_id: str, error: HubError) -> HubError:
    """Remove the new Space; one that another run could complete stays."""
    if error.fault != "task":
        return type(error)(f"{error}; {repo_id} was created and has no files yet")
    try:
        api.delete_repo(repo_id, repo_type="space", missing_ok=True)
    except Exception:  # the first error matters; this one only adds what is left
        return type(error)(
            f"{error}. The Space {repo_id} was created and could not be removed: {page_of(api, repo_id)}"
        )
    return error


def readable(size: int) -> str:
    """Return a number of bytes in readable form: `1.2 kB`."""
    if size < 1000:
        return f"{size} B"
    for power, unit in ((1, "kB"), (2, "MB")):
        if size < 999.95 * 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size / 1000**3:.1f} GB"


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
