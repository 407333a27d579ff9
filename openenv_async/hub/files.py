"""Which files of an environment's folder are sent to the Hub.

In this order: names that are never sent (version control, virtual environments,
caches), secrets, `.gitignore` files at every depth, `.dockerignore`, and the user's own
patterns. pathspec matches the patterns; the Hub client's own matching is `fnmatch`,
which knows neither `!` nor where a pattern begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec, PathSpec

from openenv_async.hub.failures import UnusableFile
from openenv_async.hub.secret_scan import named_like_a_secret


class GitIgnore:
    """The rules of one `.gitignore`, for paths relative to its folder."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines; an invalid pattern matches nothing, as in git."""
        self._spec = GitIgnoreSpec.from_lines(filter(_is_pattern, lines))

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Return whether the path is ignored; `None` when no rule matches it."""
        return self._spec.check_file(f"{path}/" if is_folder else path).include


class DockerIgnore:
    """The rules of a `.dockerignore`, for paths relative to the root of the build context."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines; an invalid pattern matches nothing."""
        self._patterns = list(PathSpec.from_lines("gitignore", filter(_is_pattern, map(_as_git, lines))).patterns)

    def ignores(self, path: str) -> bool:
        """Return whether the file is left out, by a rule for itself or for a folder above it."""
        parts = path.split("/")
        names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        # Unlike git, Docker looks into folders that are left out: a rule may include a file in one again, and `*`
        # applies to everything below.
        for pattern in reversed(self._patterns):
            if pattern.include is not None and any(pattern.match_file(name) is not None for name in names):
                return pattern.include
        return False


def verdict(stack: Sequence[tuple[str, GitIgnore]], path: str, is_folder: bool) -> bool | None:
    """Ask the `.gitignore` files on the way to a path; the deepest one with a matching rule decides.

    Args:
        stack: each with its folder (`""` is the root), outermost first.
        path: relative to the root.
        is_folder: whether it is a folder.
    """
    for base, rules in reversed(stack):
        answer = rules.verdict(path[len(base) + 1 :] if base else path, is_folder)
        if answer is not None:
            return answer
    return None


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _as_git(line: str) -> str:
    """Translate a pattern to git's: Docker's begin at the root, and a slash at the end means nothing."""
    if line.startswith("#"):
        return ""
    line = line.strip()
    mark = "!" if line.startswith("!") else ""
    inside = PurePosixPath("/", line[len(mark) :].strip().lstrip("/")).as_posix()
    return f"{mark}{inside}" if inside != "/" else ""


# Never sent. The Hub refuses `.cache` and `.git`.
_FOLDERS = (
    *(".cache", ".eggs", ".git", ".hg", ".hypothesis", ".idea", ".ipynb_checkpoints", ".mypy_cache", ".nox"),
    *(".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode", "*.egg-info", "__pycache__", "node_modules"),
)
_FILES = (".DS_Store", ".coverage", ".git", "*.py[co]", "*.swp", "*~", "Thumbs.db")

# `.dockerignore` files often name these, as an image does not need them; a Space does.
_SPACE_NEEDS = frozenset({".dockerignore", ".gitignore", "Dockerfile", "README.md", "openenv.yaml"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The files to be sent, and files left out that the user may expect."""

    files: dict[str, Path] = field(default_factory=dict)
    """The files by their paths in the repository, in order."""

    secrets: list[str] = field(default_factory=list)
    """Files left out because of their names."""

    outside: list[str] = field(default_factory=list)
    """Links that lead out of the folder or nowhere, and special files, all left out."""


def select_files(folder: Path, exclude: Iterable[str] = ()) -> Selection:
    """Walk a folder and decide on each file.

    Args:
        folder: the environment's.
        exclude: further patterns, as in a `.gitignore` of that folder.

    Raises:
        UnusableFile: something cannot be read, or has a name that the Hub refuses.
    """
    return _FolderWalk(folder.resolve(), exclude).selection()


class _FolderWalk:
    def __init__(self, folder: Path, exclude: Iterable[str]) -> None:
        self._folder = folder
        self._own = GitIgnore(exclude)
        self._docker = DockerIgnore(_lines(folder / ".dockerignore"))
        self._above = list(_rules_above(folder))
        self._found = Selection()

    def selection(self) -> Selection:
        self._enter(self._folder, "", [])
        return self._found

    def _enter(self, folder: Path, inside: str, stack: list[tuple[str, GitIgnore]]) -> None:
        stack = [*stack, (inside, GitIgnore(_lines(folder / ".gitignore")))]
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise UnusableFile(f"{folder} cannot be read: {error.strerror}") from error
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not self._skips_folder(entry, path, stack):
                    self._enter(Path(entry.path), path, stack)
            else:
                self._file(entry, path, stack)

    def _skips_folder(self, entry: os.DirEntry[str], path: str, stack: list[tuple[str, GitIgnore]]) -> bool:
        if any(fnmatchcase(entry.name, pattern) for pattern in _FOLDERS):
            return True
        if os.path.isfile(os.path.join(entry.path, "pyvenv.cfg")):
            return True  # a virtual environment of another name
        return self._ignored(path, True, stack)

    def _file(self, entry: os.DirEntry[str], path: str, stack: list[tuple[str, GitIgnore]]) -> None:
        if any(fnmatchcase(entry.name, pattern) for pattern in _FILES):
            return
        if named_like_a_secret(path):
            self._found.secrets.append(path)
            return
        if self._ignored(path, False, stack) or (path not in _SPACE_NEEDS and self._docker.ignores(path)):
            return
        if not path.isprintable():  # a line break, or bytes that are not UTF-8
            raise UnusableFile(f"{path!r} has a name that the Hub cannot take: rename it, or exclude it")
        file = Path(entry.path)
        if not self._is_own_file(file):
            self._found.outside.append(path)
            return
        if not os.access(file, os.R_OK):
            raise UnusableFile(f"{path} cannot be read: allow it, or exclude it")
        self._found.files[path] = file

    def _is_own_file(self, file: Path) -> bool:
        # A link may lead to any file of this machine.
        try:
            return file.is_file() and (not file.is_symlink() or self._safe_target(file.resolve()))
        except (OSError, RuntimeError):
            return False

    def _safe_target(self, target: Path) -> bool:
        if not target.is_relative_to(self._folder):
            return False
        path = target.relative_to(self._folder).as_posix()
        return not named_like_a_secret(path) and ".git" not in path.split("/")

    def _ignored(self, path: str, is_folder: bool, stack: list[tuple[str, GitIgnore]]) -> bool:
        if self._own.verdict(path, is_folder):
            return True
        answer = verdict(stack, path, is_folder)
        if answer is None:
            above = (rules.verdict(f"{inside}/{path}", is_folder) for inside, rules in self._above)
            answer = next((each for each in above if each is not None), None)
        return bool(answer)


def _rules_above(folder: Path) -> Iterator[tuple[str, GitIgnore]]:
    """Yield the `.gitignore` files between the folder and the root of its git repository, nearest first.

    Each comes with the folder's path relative to it. One that ignores the folder itself does not count: the user
    named the folder.
    """
    if (folder / ".git").exists():
        return
    parents = list(folder.parents)
    root = next((index for index, parent in enumerate(parents) if (parent / ".git").exists()), None)
    if root is None:
        return
    for parent in parents[: root + 1]:
        inside = folder.relative_to(parent).as_posix()
        rules = GitIgnore(_lines(parent / ".gitignore"))
        if not rules.verdict(inside, is_folder=True):
            yield inside, rules


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnusableFile(f"{file} cannot be read: {error.strerror}") from error
