"""Binding: what is listened on, and the sentence when it cannot be."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest

from openenv_async.server.sockets import BindFailed, Listeners, _tcp_problem, _unix_problem, url_of


def test_port_zero_tells_the_real_port() -> None:
    with Listeners.bind(("127.0.0.1", 0)) as listeners:
        port = listeners.sockets[0].getsockname()[1]
        assert listeners.urls == [f"http://127.0.0.1:{port}"]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


async def test_what_is_accepted_sends_at_once() -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        accepted.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with Listeners.bind(("127.0.0.1", 0)) as listeners:
        async with await asyncio.start_server(serve, sock=listeners.sockets[0].dup()):
            _, writer = await asyncio.open_connection(*listeners.sockets[0].getsockname())
            assert await asyncio.wait_for(accepted, 5)
            writer.close()


def test_localhost_is_one_port_on_each_of_its_addresses() -> None:
    with Listeners.bind(("localhost", 0)) as listeners:
        assert len({sock.getsockname()[1] for sock in listeners.sockets}) == 1
        assert listeners.urls[0].startswith("http://localhost:")
        assert not listeners.public


def test_a_port_in_use_says_what_to_do() -> None:
    with Listeners.bind(("127.0.0.1", 0)) as first:
        port = first.sockets[0].getsockname()[1]
        with pytest.raises(BindFailed, match=r"is taken by another program: stop it, or choose another port"):
            Listeners.bind(("127.0.0.1", port))


def test_one_bad_address_of_several_leaves_none_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(BindFailed):
        Listeners.bind(("127.0.0.1", port), ("203.0.113.7", 0))
    Listeners.bind(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("host", "words"), [("203.0.113.7", "no such address"), ("no-such-host.invalid", "finds no address of that name")]
)
def test_a_host_that_is_not_here(host: str, words: str) -> None:
    with pytest.raises(BindFailed, match=words):
        Listeners.bind((host, 0))


def test_no_permission_says_so() -> None:
    # Not by binding: the tests may run as root, who may do everything.
    denied = OSError(errno.EACCES, "Permission denied")
    assert "no permission to listen on 0.0.0.0:80: choose a port" in _tcp_problem(denied, "0.0.0.0", 80)
    assert "no permission to make the socket /x/y" in _unix_problem(denied, Path("/x/y"))


@pytest.mark.parametrize(("host", "public"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_public_means_that_others_can_reach_it(host: str, public: bool) -> None:
    with Listeners.bind((host, 0)) as listeners:
        assert listeners.public is public


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert url_of("::1", 8000) == "http://[::1]:8000"


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    with Listeners.bind(path) as listeners:
        assert listeners.urls == [f"unix:{path}"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_a_socket_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Listeners.bind(path):
        with pytest.raises(BindFailed, match="is in use: a server listens on it"):
            Listeners.bind(path)
        assert path.is_socket()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep", encoding="utf-8")
    with pytest.raises(BindFailed, match="exists and is not a socket"):
        Listeners.bind(path)
    assert path.read_text(encoding="utf-8") == "keep"


def test_a_missing_folder_and_a_path_too_long(tmp_path: Path) -> None:
    with pytest.raises(BindFailed, match="the folder .* does not exist"):
        Listeners.bind(tmp_path / "none" / "s")
    with pytest.raises(BindFailed, match="cannot make the socket"):
        Listeners.bind(tmp_path / ("x" * 200))


def test_a_socket_file_that_another_server_took_over_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Listeners.bind(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        # Held open, so that the system cannot give the new file the old one's number.
        with open(os.devnull, encoding="utf-8"):
            (tmp_path / "filler").touch()
            other.bind(str(path))
        first.close()
        assert path.is_socket()


def test_a_taken_over_socket_is_not_passed_on() -> None:
    with Listeners.bind(("127.0.0.1", 0)) as ours:
        with Listeners.from_fds([ours.sockets[0].dup().detach()], ours.urls) as theirs:
            assert not theirs.sockets[0].get_inheritable()
            assert theirs.sockets[0].getsockname() == ours.sockets[0].getsockname()
