"""Key of one server start, with which commands on the same machine list and end sessions without a token.

A server writes its key into a file of mode 0600 in a folder of mode 0700, and removes it when it stops. The file names
the server's addresses, so that `openenv top` and `openenv sessions` find it by the address that they ask. An address, a
socket or the absence of a header never makes a request an operator's: a proxy on the same machine has them all.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from openenv_async.transport.address import is_loopback

logger = logging.getLogger("openenv_async.server")

HEADER = "x-openenv-operator"
"""Request header that carries the key."""

_EVERY_ADDRESS = ("0.0.0.0", "::", "")


class KeyFile(msgspec.Struct):
    """Content of a key file."""

    key: str
    urls: list[str]
    """As `http://127.0.0.1:8000` or `unix:/path`."""


class OperatorKey:
    """The key of one server, and its file while the server listens."""

    def __init__(self) -> None:
        self.value = secrets.token_urlsafe(32)
        self._path: Path | None = None

    def fits(self, given: bytes) -> bool:
        """Return whether a request's header is this key; takes the same time for every wrong one."""
        return hmac.compare_digest(given, self.value.encode())

    def publish(self, urls: Sequence[str]) -> Path | None:
        """Write the key file of a server that listens on `urls`; if that fails, log it and return None."""
        try:
            folder = _private_folder()
            _remove_stale(folder)
            path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(KeyFile(self.value, list(urls))))
        except OSError as exc:
            logger.warning("no key file for operators (%s): give the server a token to list or end its sessions", exc)
            return None
        self._path = path
        return path

    def withdraw(self) -> None:
        """Remove the key file. Safe to repeat."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


def find_key(url: str) -> str | None:
    """Return the key of the server at `url` if it runs on this machine, as this user.

    Args:
        url: `http(s)://host:port` or `unix:/path`. The key of another address is never returned, so that none is sent
            to a server that it does not belong to.
    """
    try:
        files = sorted(_folder().glob("*.json"))
    except OSError:
        return None
    for path in files:
        known = _read(path)
        if known is not None and _alive(path) and any(_same(url, listening) for listening in known.urls):
            return known.key
    return None


def _same(asked: str, listening: str) -> bool:
    if asked.startswith("unix:") or listening.startswith("unix:"):
        return asked.startswith("unix:") and os.path.realpath(asked[5:]) == os.path.realpath(listening[5:])
    here, there = urlsplit(asked), urlsplit(listening)
    if _port(asked) != _port(listening):
        return False
    host, bound = here.hostname or "", there.hostname or ""
    # `localhost` is any of the loopback addresses; which one, the port says.
    return host == bound or bound in _EVERY_ADDRESS or (is_loopback(host) and is_loopback(bound))


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("https", "wss") else 80)


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "openenv"
    # Not the folder for temporary files, which environments watch and share.
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "openenv-operators"


def _private_folder() -> Path:
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or not _is_private(found):
        raise PermissionError(f"{folder} is not a folder of this user alone")
    return folder


def _is_private(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _read(path: Path) -> KeyFile | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or not _is_private(found):
                return None
            return msgspec.json.decode(file.read(65536), type=KeyFile)
    except (OSError, msgspec.DecodeError):
        return None


def _alive(path: Path) -> bool:
    pid = path.name.partition("-")[0]
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _remove_stale(folder: Path) -> None:
    for path in folder.glob("*.json"):
        if not _alive(path):
            path.unlink(missing_ok=True)
