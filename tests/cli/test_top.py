"""`openenv top` and `openenv sessions` against a real server, in a real terminal and in pipes."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import requirement
from support.serve_command import Serving, serving
from support.terminal import LONG_S, ROOT, piped, terminal

from openenv_async.errors import SessionLost
from openenv_sync import SyncEnv

ECHO = str(ROOT / "examples" / "echo_env")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(ECHO, "--port", "0", cwd=tmp_path, bound_s=LONG_S) as running:
        running.address = running.url()
        yield running


@requirement("top:table")
def test_the_table_follows_the_sessions_and_leaves_a_clean_terminal(server: Serving) -> None:
    with (
        terminal("top", server.address, "--interval", "0.1", columns=140) as top,
        SyncEnv(base_url=server.address) as env,
    ):
        env.reset()
        for n in range(7):
            env.step({"message": str(n)})
        name = str(env.session_id)
        text = top.until(lambda text: re.search(rf"{name}\s+ready\s+7\s+1\s", text) and "idle" in text)
        assert "slots 1/" in text and "waiting 0" in text and re.search(r"steps/s \d", text)
        env.step({"message": "one more"})
        top.until(lambda text: re.search(rf"{env.session_id}\s+ready\s+8\s", text))
        env.close()
        top.until(lambda text: "sessions 0" in text and "slots 0/" in text)
        top.press(b"\x03")
        assert top.end() == 0
    # The alternate screen is left, and the cursor is there again.
    assert top.raw.rstrip().endswith((b"\x1b[?1049l", b"\x1b[?25h"))
    assert b"\x1b[?1049l" in top.raw and b"\x1b[?25h" in top.raw and b"Traceback" not in top.raw


@requirement("top:table")
def test_a_narrow_terminal_and_sigterm(server: Serving) -> None:
    with terminal("top", server.address, columns=60, lines=10, NO_COLOR="1") as top:
        envs = [SyncEnv(base_url=server.address) for _ in range(12)]
        for env in envs:
            env.reset()
        # The rows too: a screen is painted in pieces, and read as they come.
        row = re.compile(r"\b[0-9a-f]{7,}\S* +ready +0 +1 ")
        text = top.until(lambda text: "sessions 12" in text and row.search(text))
        assert max(map(len, text.splitlines())) <= 60 and len(text.splitlines()) <= 10
        assert "STEPS" in text and "CLIENT" not in text
        for env in envs:
            env.close()
        top.process.send_signal(signal.SIGTERM)
        assert top.end() == 0
    assert b"\x1b[?1049l" in top.raw and b"\x1b[3" not in top.raw


@requirement("top:gone")
def test_a_server_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    port = str(free_port())
    with serving(ECHO, "--port", port, cwd=tmp_path, bound_s=LONG_S) as first:
        url = first.url()
        with terminal("top", url, "--interval", "0.1") as top:
            top.until(lambda text: "slots 0/" in text)
            first.process.send_signal(signal.SIGTERM)
            assert first.end()[0] == 0
            top.until(lambda text: "gone for" in text and "waiting for it" in text)
            with serving(ECHO, "--port", port, cwd=tmp_path, bound_s=LONG_S) as second:
                second.url()
                top.until(lambda text: "another server since" in text and "it was restarted" in text)
                top.press(b"\x03")
                assert top.end() == 0


@requirement("top:plain")
def test_once_and_json_are_for_pipes(server: Serving) -> None:
    with SyncEnv(base_url=server.address) as env:
        env.reset()
        for arguments in (["--once"], []):
            told = piped("top", server.address, *arguments)
            assert told.returncode == 0 and "\x1b" not in told.stdout, told.stderr
            assert re.search(rf"^{env.session_id}\s+ready\s+0\s+1\s", told.stdout, re.MULTILINE)
        said = json.loads(piped("top", server.address, "--json").stdout)
        assert said["sessions"][0]["id"] == env.session_id and said["server"]["steps_per_s"] == 0


@requirement("top:plain")
def test_without_rich_the_extra_is_named_and_once_works(server: Serving, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nfound = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'rich' else found(name, *rest)\n"
    )
    path = f"{tmp_path}:{ROOT}"
    with terminal("top", server.address, PYTHONPATH=path) as top:
        assert top.end() == 1
        assert "openenv-async[top]" in top.text and "--once" in top.text
    with terminal("top", server.address, "--once", PYTHONPATH=path) as top:
        assert top.end() == 0
        assert "SESSION" in top.text


@requirement("top:plain", "sessions:commands")
@pytest.mark.parametrize("command", [["top", "--once"], ["top"], ["sessions", "list"]])
def test_what_cannot_be_asked_is_said_in_one_line(command: list[str], server: Serving) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    told = piped(*command, nobody)
    assert (told.returncode, told.stdout) == (1, "") and "nothing answers at" in told.stderr
    assert told.stderr.count("\n") == 1
    assert "not an address" in piped(*command, "ftp://x").stderr


@requirement("sessions:commands", "sessions:closed")
def test_sessions_are_listed_and_closed(server: Serving) -> None:
    with SyncEnv(base_url=server.address) as env, SyncEnv(base_url=server.address) as other:
        env.reset()
        other.reset()
        listed = piped("sessions", "list", server.address, "--limit", "1")
        assert str(env.session_id) in listed.stdout and "1 more" in listed.stdout
        said = json.loads(piped("sessions", "list", server.address, "--json").stdout)
        assert [row["id"] for row in said["sessions"]] == [env.session_id, other.session_id]
        closed = piped("sessions", "close", str(env.session_id), "--url", server.address)
        assert (closed.returncode, closed.stdout) == (0, f"Closed session {said['sessions'][0]['id']}.\n")
        with pytest.raises(SessionLost, match="closed by the server's operator"):
            env.step({"message": "x"})
        other.step({"message": "x"})
        again = piped("sessions", "close", said["sessions"][0]["id"], "--url", server.address)
        assert again.returncode == 2 and "there is no session" in again.stderr
        assert piped("sessions", "close", "../health", "--url", server.address).returncode == 2


@requirement("sessions:operators", "sessions:commands")
def test_the_token_is_given_by_the_variable(tmp_path: Path) -> None:
    with serving(
        ECHO, "--port", "0", cwd=tmp_path, bound_s=LONG_S, variables={"OPENENV_TOKEN": "correct-horse-battery"}
    ) as running:
        url = running.url()
        refused = piped("sessions", "list", url)
        assert refused.returncode == 1 and "OPENENV_TOKEN" in refused.stderr
        assert "sessions 0" in piped("sessions", "list", url, OPENENV_TOKEN="correct-horse-battery").stdout


@requirement("sessions:commands")
def test_a_unix_socket_is_an_address_too(tmp_path: Path) -> None:
    with serving(ECHO, "--unix", str(tmp_path / "s"), cwd=tmp_path) as running:
        running.url()
        assert "sessions 0" in piped("top", f"unix:{tmp_path / 's'}", "--once").stdout
