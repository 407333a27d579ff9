"""Fixtures: a server in a process of its own, and the witness that its environments report to.

A plugin and not a conftest, so that mypy sees one module of that name in the tree.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support import PROGRAMS
from support.servers import BOUND_S


class Witness:
    """The test's end of a probe environment's socket; every wait is bounded."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(BOUND_S)
        self._peer: socket.socket | None = None
        self.port: int = self._listener.getsockname()[1]

    def wait_hanging(self) -> None:
        assert self._receive() == b"hanging\n"

    def release(self) -> None:
        self._connection().sendall(b"go on\n")

    def wait_closed(self) -> None:
        """Return when the environment's `close()` has run."""
        assert self._receive() == b""

    def is_open(self) -> bool:
        peer = self._connection()
        peer.setblocking(False)
        try:
            return peer.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        finally:
            peer.settimeout(BOUND_S)

    def close(self) -> None:
        self._listener.close()
        if self._peer is not None:
            self._peer.close()

    def _connection(self) -> socket.socket:
        if self._peer is None:
            self._peer, _ = self._listener.accept()
            self._peer.settimeout(BOUND_S)
        return self._peer

    def _receive(self) -> bytes:
        return self._connection().recv(64)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of a real server of probe environments."""
    command = [sys.executable, str(PROGRAMS / "probe_env.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert select.select([server.stdout], [], [], BOUND_S)[0], "the server did not start in time"
            url = server.stdout.readline().strip()
            assert url.startswith("http://"), "the server did not start"
            yield url
            server.terminate()
            assert server.wait(BOUND_S) == 0
        finally:
            server.kill()


@pytest.fixture
def witness() -> Iterator[Witness]:
    witness = Witness()
    yield witness
    witness.close()
