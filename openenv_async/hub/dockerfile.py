"""The Dockerfile at the root of a Space.

Finds the author's and changes the lines that differ on a Space: the base image, if the
user names another, and whether the web interface is on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from openenv_async.hub.failures import UnusableFile

PLACES = ("Dockerfile", "server/Dockerfile")
SWITCH = "ENABLE_WEB_INTERFACE"

_MARK = "# Written by `openenv push` from {place}, which is the one to edit.\n"
_WRITTEN = re.compile(r"^# Written by `openenv push` from (\S+),", re.MULTILINE)
_DIRECTIVE = re.compile(r"#\s*(?:syntax|escape|check)\s*=", re.IGNORECASE)
_ARG_BASE = re.compile(r"^(\s*ARG\s+BASE_IMAGE)\b.*$", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)\S+", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SpaceDockerfile:
    """The text for the root of the repository."""

    text: str
    place: str
    """The path of the author's own."""
    changes: tuple[str, ...]
    """What differs from the author's, in words."""


def find_dockerfile(folder: Path) -> str | None:
    """Return the path of the author's Dockerfile in the folder: at the root, else in `server/`.

    One at the root that an earlier push wrote, and that came back with a clone of the Space, does not count
    while the file it was made from exists.
    """
    for place in PLACES:
        file = folder / place
        if not file.is_file():
            continue
        written = _WRITTEN.search(_read(file, place))
        if written and written[1] != place and (folder / written[1]).is_file():
            continue
        return place
    return None


def space_dockerfile(folder: Path, *, interface: bool | None, base_image: str | None) -> SpaceDockerfile:
    """Build the Dockerfile of the Space from the author's.

    Args:
        folder: the environment's.
        interface: the web interface on or off; `None` is on, unless the author's own file decides it.
        base_image: the base image, in place of the author's.

    Raises:
        UnusableFile: there is no Dockerfile, or it has no base image.
    """
    place = find_dockerfile(folder)
    if place is None:
        raise UnusableFile(f"{folder} has no Dockerfile, neither at its root nor in server/: a Space is built from one")
    text = own = _read(folder / place, place)
    if not _FROM.search(text):
        raise UnusableFile(f"{place} has no FROM line: begin it with `FROM python:3.12-slim` or another image")
    changes = []
    if place != PLACES[0]:
        text = _marked(text, place)
        changes.append(f"from {place}")
    if base_image is not None:
        text = _with_base(text, base_image)
        changes.append(f"on {base_image}")
    switch = _switch(own, interface)
    if switch is not None:
        # At the end it applies to the last stage, which is the one that runs, and overrides earlier lines.
        text = text.rstrip("\n") + f"\n\nENV {SWITCH}={'true' if switch else 'false'}\n"
        changes.append(f"web interface {'on' if switch else 'off'}")
    return SpaceDockerfile(text, place, tuple(changes))


def interface_is_on(dockerfile: SpaceDockerfile) -> bool:
    """Return whether the container will serve the web interface."""
    settings = re.findall(rf"\b{SWITCH}[= ]\"?(\w*)", dockerfile.text)
    return bool(settings) and settings[-1].lower() in ("1", "true", "yes", "on")


def _switch(text: str, interface: bool | None) -> bool | None:
    """Return the value to set, or None if there is nothing to set."""
    given = re.findall(rf"^\s*ENV\b.*\b{SWITCH}[= ]\"?(\w*)", text, re.IGNORECASE | re.MULTILINE)
    if interface is None:
        return True if SWITCH not in text else None
    if given and (given[-1].lower() in ("1", "true", "yes", "on")) == interface:
        return None
    if not interface and SWITCH not in text:
        return None  # off is the default
    return interface


def _with_base(text: str, image: str) -> str:
    if _ARG_BASE.search(text):
        return _ARG_BASE.sub(lambda found: f"{found[1]}={image}", text)
    return _FROM.sub(lambda found: f"{found[1]}{image}", text, count=1)


def _marked(text: str, place: str) -> str:
    lines = text.splitlines(keepends=True)
    # `# syntax=...` and `# escape=...` count only at the very top.
    first = next((at for at, line in enumerate(lines) if not _DIRECTIVE.match(line)), len(lines))
    return "".join([*lines[:first], _MARK.format(place=place), *lines[first:]])


def _read(file: Path, place: str) -> str:
    try:
        return file.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeError) as error:
        raise UnusableFile(f"{place} cannot be read: {error}") from error
