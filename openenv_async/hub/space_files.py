"""The files of a Space: the author's, the README and the Dockerfile as a Space needs them, the runtime's wheel.

The folder is only read. `publishing` compares the files with the Hub's.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openenv_async.hub.dockerfile import SpaceDockerfile, interface_is_on, space_dockerfile
from openenv_async.hub.failures import UnusableFile
from openenv_async.hub.files import Selection, select_files
from openenv_async.hub.frontmatter import repair_readme
from openenv_async.hub.secret_scan import secret_inside

RUNTIME = "openenv-async"

_NAMES_RUNTIME = re.compile(r"openenv[-_]async", re.IGNORECASE)
_SAYS_WHAT_IT_NEEDS = ("pyproject.toml", "uv.lock", "requirements.txt", "server/requirements.txt")
# Bytes; larger files are not written by hand.
_READ_FOR_SECRETS = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """The user's options for the contents."""

    name: str
    """The environment's."""
    port: int
    interface: bool | None = None
    """The web interface on or off; `None` is on, unless the author's Dockerfile decides it."""
    base_image: str | None = None
    exclude: Sequence[str] = ()
    """Patterns, as in a `.gitignore` of the folder."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the repository."""

    source: Path | bytes
    size: int
    note: str = ""
    """How it differs from the author's own, if it does."""

    def read(self) -> bytes:
        """Return its bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a Space by their paths, and warnings for the user."""

    pieces: Mapping[str, Piece]
    warnings: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(piece.size for piece in self.pieces.values())


def gather(folder: Path, wishes: Wishes, *, wheel: tuple[str, bytes], known_secrets: Sequence[str] = ()) -> Contents:
    """Collect the contents of a Space.

    Args:
        folder: the environment's.
        wishes: the user's options.
        wheel: file name and bytes of the wheel of the runtime in use.
        known_secrets: values that a file must not contain.

    Raises:
        UnusableFile: a file is missing, cannot be read, or holds a secret.
    """
    selection = select_files(folder, wishes.exclude)
    dockerfile = space_dockerfile(folder, interface=wishes.interface, base_image=wishes.base_image)
    pieces = {path: Piece(file, file.stat().st_size) for path, file in selection.files.items()}
    pieces["Dockerfile"] = _dockerfile_piece(dockerfile, pieces.get("Dockerfile"))
    pieces["README.md"] = _readme_piece(folder, wishes, interface_is_on(dockerfile), pieces.get("README.md"))
    warnings = [*_left_out(selection), *_add_runtime(folder, pieces, wheel)]
    pieces = dict(sorted(pieces.items()))
    _refuse_secrets(pieces, known_secrets)
    return Contents(pieces, tuple(warnings))


def _dockerfile_piece(dockerfile: SpaceDockerfile, own: Piece | None) -> Piece:
    text = dockerfile.text.encode()
    if own is not None and not dockerfile.changes:
        return own
    return Piece(text, len(text), ", ".join(dockerfile.changes))


def _readme_piece(folder: Path, wishes: Wishes, interface: bool, own: Piece | None) -> Piece:
    file = folder / "README.md"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = None
    except (OSError, UnicodeError) as error:
        raise UnusableFile(f"README.md cannot be read: {error}") from error
    readme = repair_readme(text, name=wishes.name, port=wishes.port, interface=interface)
    if own is not None and not readme.changes:
        return own
    content = readme.text.encode()
    note = f"front matter: {', '.join(readme.changes)}" if text is not None else "written, as there is none"
    return Piece(content, len(content), note)


def _left_out(selection: Selection) -> list[str]:
    warnings = []
    if selection.secrets:
        warnings.append(f"left out, because of the secrets in files of such names: {_listed(selection.secrets)}")
    if selection.outside:
        warnings.append(f"left out, because they are not files of this folder: {_listed(selection.outside)}")
    return warnings


def _add_runtime(folder: Path, pieces: dict[str, Piece], wheel: tuple[str, bytes]) -> list[str]:
    """Add the runtime's wheel, unless the environment has it already or does not name it."""
    name, content = wheel
    path = f"wheels/{name}"
    needs = [folder / each for each in (*_SAYS_WHAT_IT_NEEDS, "Dockerfile", "server/Dockerfile")]
    if not any(_NAMES_RUNTIME.search(_text(file)) for file in needs):
        return []
    pinned = _pinned(folder / "uv.lock")
    brought = next((each for each in pieces if re.fullmatch(r"(?:.*/)?openenv_async-[^/]*\.whl", each)), None)
    if brought is None:
        pieces[path] = Piece(content, len(content), "the runtime")
        brought = path
    expected = pinned.get(brought.rpartition("/")[2])
    if expected is not None and hashlib.sha256(pieces[brought].read()).hexdigest() != expected:
        raise UnusableFile(
            f"{brought} is not the build of {RUNTIME} that uv.lock pins, so that the image could not be built: "
            "run `uv lock --upgrade-package openenv-async`"
        )
    if brought == path and pieces[brought].read() != content:
        return [f"{brought} is sent as it is in the folder; the {RUNTIME} installed here is another build"]
    return []


def _pinned(lock: Path) -> dict[str, str]:
    """Return the digests of the runtime's wheels in a lock file, by file name."""
    try:
        packages = tomllib.loads(lock.read_text(encoding="utf-8")).get("package", [])
    except (OSError, UnicodeError, tomllib.TOMLDecodeError):
        return {}  # `openenv validate` reports it; here only a clear contradiction counts
    found = {}
    for package in packages:
        if package.get("name") != RUNTIME:
            continue
        for wheel in package.get("wheels", []):
            name = wheel.get("filename") or str(wheel.get("path") or wheel.get("url", "")).rpartition("/")[2]
            found[name] = str(wheel.get("hash", "")).removeprefix("sha256:")
    return {name: digest for name, digest in found.items() if name and digest}


def _refuse_secrets(pieces: Mapping[str, Piece], known: Sequence[str]) -> None:
    for path, piece in pieces.items():
        if piece.size > _READ_FOR_SECRETS or path.endswith(".whl"):
            continue
        try:
            found = secret_inside(piece.read(), known)
        except OSError as error:
            raise UnusableFile(f"{path} cannot be read: {error.strerror}") from error
        if found is not None:
            line, what = found
            raise UnusableFile(
                f"{path}:{line} holds {what}, which would be public: remove it and pass it with --secret, "
                "or exclude the file"
            )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(paths)
