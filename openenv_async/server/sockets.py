"""Binds the sockets that a server listens on.

Also makes the errors that say why binding failed, and manages the socket file of a
unix socket. `server.hypercorn_worker` accepts connections. A bound socket may be
passed to another process (`Listeners.from_fds`), with which `--reload` keeps one
address over many processes.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

Bind = tuple[str, int] | str | Path
"""Where to listen: `(host, port)`, port 0 for a free one; or the path of a unix socket, `unix:` in front or not."""

BACKLOG = 2048
"""Connections that may wait to be accepted: a trainer opens its whole batch at once. The system may lower it."""

_PROBE_TIMEOUT_S = 2.0
_FREE_PORT_TRIES = 16


class BindFailed(OSError):
    """An address cannot be listened on; the text says which, why, and what to do next."""

    def __str__(self) -> str:
        """Return the text without the error number."""
        return self.strerror or super().__str__()


class Listeners:
    """Listening sockets and their addresses; closing them removes the socket files that binding made.

    Args:
        sockets: bound and listening.
        urls: what a client connects to, one for each requested address.
        files: socket files to remove, with the device and inode they had.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        urls: Sequence[str],
        files: Sequence[tuple[Path, int, int]] = (),
    ) -> None:
        self.sockets = list(sockets)
        self.urls = list(urls)
        self._files = list(files)

    @classmethod
    def bind(cls, *binds: Bind) -> Listeners:
        """Listen on every address; if one fails, raise `BindFailed` and listen on none."""
        made = cls([], [])
        try:
            for bind in binds:
                made._add(_bind_tcp(*bind) if isinstance(bind, tuple) else _bind_unix(_unix_path(bind)))
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def from_fds(cls, fds: Sequence[int], urls: Sequence[str]) -> Listeners:
        """Take over sockets that another process bound; that process removes the socket files."""
        sockets = [socket.socket(fileno=fd) for fd in fds]
        for sock in sockets:
            sock.setblocking(False)
            # Not inheritable again: a program that the environment starts must not keep the address open.
            sock.set_inheritable(False)
        return cls(sockets, urls)

    @property
    def public(self) -> bool:
        """Return whether another machine can reach one of them."""
        return any(
            not ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback
            for sock in self.sockets
            if sock.family in (socket.AF_INET, socket.AF_INET6)
        )

    def close(self) -> None:
        """Close the sockets and remove their files. Safe to repeat."""
        for path, device, inode in self._files:
            try:
                found = path.stat()
                if (found.st_dev, found.st_ino) == (device, inode):  # another server may have replaced it
                    path.unlink()
            except OSError:
                continue  # already gone, or it cannot be removed any more
        self._files.clear()
        for sock in self.sockets:
            sock.close()

    def _add(self, other: Listeners) -> None:
        self.sockets += other.sockets
        self.urls += other.urls
        self._files += other._files

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def url_of(host: str, port: int) -> str:
    """Return the address as a client writes it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_tcp(host: str, port: int) -> Listeners:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise BindFailed(f"cannot listen on {host!r}: this machine finds no address of that name ({error})") from None
    addresses = list(dict.fromkeys((info[0], str(info[4][0])) for info in infos))
    # A free port of the first address may be taken on the second one ("localhost" has two): ask for another.
    for tries_left in reversed(range(_FREE_PORT_TRIES)):
        try:
            sockets = _bind_all(addresses, port)
            break
        except OSError as error:
            if port == 0 and error.errno == errno.EADDRINUSE and tries_left:
                continue
            raise BindFailed(error.errno, _tcp_problem(error, host, port)) from error
    return Listeners(sockets, [url_of(host, sockets[0].getsockname()[1])])


def _bind_all(addresses: Sequence[tuple[socket.AddressFamily, str]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    skipped: OSError | None = None
    for family, address in addresses:
        try:
            sockets.append(_listen(family, (address, port), v6_only=len(addresses) > 1))
        except OSError as error:
            # "localhost" names ::1 also where the kernel has no IPv6.
            if len(addresses) > 1 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                skipped = error
                continue
            for sock in sockets:
                sock.close()
            raise
        port = port or sockets[0].getsockname()[1]
    if not sockets and skipped is not None:
        raise skipped
    return sockets


def _listen(family: int, address: tuple[str, int] | str, *, v6_only: bool = False) -> socket.socket:
    # With its protocol named, else asyncio does not know what it accepts for TCP and leaves Nagle's delays on: a reply
    # that follows another waits for the client's acknowledgement, 40 ms.
    proto = 0 if isinstance(address, str) else socket.IPPROTO_TCP
    sock = socket.socket(family, socket.SOCK_STREAM, proto)
    try:
        if os.name == "posix" and not isinstance(address, str):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
        sock.bind(address)
        # Listening at once, not when the app is loaded: two servers may both bind, only one may listen.
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _tcp_problem(error: OSError, host: str, port: int) -> str:
    where = url_of(host, port).removeprefix("http://")
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: stop it, or choose another port (0 picks a free one)"
    if error.errno == errno.EACCES:
        return f"no permission to listen on {where}: choose a port of 1024 or above"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine has no such address (127.0.0.1 is this machine, 0.0.0.0 all)"
    return f"cannot listen on {where}: {error.strerror or error}"


def _unix_path(bind: str | Path) -> Path:
    return Path(str(bind).removeprefix("unix:"))


def _bind_unix(path: Path) -> Listeners:
    if not hasattr(socket, "AF_UNIX"):
        raise BindFailed(f"cannot listen on {path}: this system has no unix sockets; use a host and a port")
    _remove_stale(path)
    try:
        sock = _listen(socket.AF_UNIX, str(path))
    except OSError as error:
        raise BindFailed(error.errno, _unix_problem(error, path)) from error
    made = path.stat()
    return Listeners([sock], [f"unix:{path.absolute()}"], [(path.absolute(), made.st_dev, made.st_ino)])


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a server that is gone; refuse one in use and anything that is not a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # not there; any other trouble is reported by bind()
    if not stat.S_ISSOCK(mode):
        raise BindFailed(errno.EEXIST, f"{path} exists and is not a socket: remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise BindFailed(error.errno, _unix_problem(error, path)) from error
        except OSError as error:
            # A full backlog or a slow answer: a server is there.
            busy = isinstance(error, (TimeoutError, BlockingIOError))
            why = "another server listens on it" if busy else str(error.strerror or error)
            raise BindFailed(error.errno or errno.EADDRINUSE, f"cannot listen on {path}: {why}") from error
        else:
            raise BindFailed(errno.EADDRINUSE, f"{path} is in use: a server listens on it; choose another path")


def _unix_problem(error: OSError, path: Path) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to make the socket {path}: choose a folder that you may write to"
    if error.errno == errno.ENOENT:
        return f"cannot make the socket {path}: the folder {path.absolute().parent} does not exist"
    return f"cannot make the socket {path}: {error.strerror or error}"
