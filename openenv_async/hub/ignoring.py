"""The patterns of `.gitignore` and `.dockerignore`, as git and Docker read them.

Owns where each dialect's patterns begin and which of several files decides;
pathspec matches them. `files` walks and asks. The matching of the Hub's own client
is `fnmatch`, which knows neither `!` nor where a pattern begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec, PathSpec


class GitIgnore:
    """The rules of one `.gitignore`, for paths seen from the folder that it lies in."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines; what is no pattern matches nothing, as in git."""
        self._spec = GitIgnoreSpec.from_lines(filter(_is_pattern, lines))

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether the path is ignored; `None` when no rule speaks of it."""
        return self._spec.check_file(f"{path}/" if is_folder else path).include


class DockerIgnore:
    """The rules of a `.dockerignore`, for paths seen from the root of the build context."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines; what is no pattern matches nothing."""
        self._patterns = list(PathSpec.from_lines("gitignore", filter(_is_pattern, map(_as_git, lines))).patterns)

    def ignores(self, path: str) -> bool:
        """Whether the file is left out, by a rule for itself or for a folder above it."""
        parts = path.split("/")
        names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        # Not git's own evaluation, which does not look into folders that are left out: here a file may come back
        # from one, and `*` has to hold for all that is below.
        for pattern in reversed(self._patterns):
            if pattern.include is not None and any(pattern.match_file(name) is not None for name in names):
                return pattern.include
        return False


def verdict(stack: Sequence[tuple[str, GitIgnore]], path: str, is_folder: bool) -> bool | None:
    """Ask the files that lie on the way to a path; the deepest that has an opinion decides.

    Args:
        stack: each with the folder that it lies in (`""` is the root), outermost first.
        path: seen from the root.
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
    """Say the same in git's words: Docker's patterns all begin at the root, and a slash at the end means nothing."""
    if line.startswith("#"):
        return ""
    line = line.strip()
    mark = "!" if line.startswith("!") else ""
    inside = PurePosixPath("/", line[len(mark) :].strip().lstrip("/")).as_posix()
    return f"{mark}{inside}" if inside != "/" else ""
