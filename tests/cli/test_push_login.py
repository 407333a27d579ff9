"""`openenv push` without a token: it asks on a terminal, and only there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub.pushing import BOUND_S, command, openenv, variables, write_env
from support.hub.server import Hub, running_hub


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


class Terminal:
    """A child with a terminal; every wait is bounded."""

    def __init__(self, hub: Hub, env: Path) -> None:
        self.seen = ""
        self._end = time.monotonic() + BOUND_S
        ours, theirs = pty.openpty()
        settings = variables(hub, env.parent / "hf-home", TERM="dumb", NO_COLOR="1")
        self.process = subprocess.Popen(
            command("push"), cwd=env, env=settings, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._ours = ours

    def until(self, text: str) -> None:
        """Read until the text was written."""
        while text not in self.seen:
            assert self._read(), f"it ended before {text!r}:\n{self.seen}"

    def until_keys_are_read(self) -> None:
        """What is typed before the menu listens is thrown away."""
        while termios.tcgetattr(self._ours)[3] & termios.ICANON:
            self._read(0.01)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        return self.process.wait(BOUND_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(BOUND_S)
        os.close(self._ours)

    def _read(self, wait_s: float = BOUND_S) -> bool:
        left_s = self._end - time.monotonic()
        ready, _, _ = select.select([self._ours], [], [], max(0.0, min(wait_s, left_s)))
        assert ready or wait_s < left_s, f"nothing more came:\n{self.seen}"
        if not ready:
            return True
        try:
            chunk = os.read(self._ours, 4096)
        except OSError:  # the child has closed its end
            return False
        self.seen += chunk.decode(errors="replace")
        return bool(chunk)


def test_on_a_terminal_it_asks_and_goes_on(hub: Hub, tmp_path: Path) -> None:
    token = hub.fresh().store.add_user("alice")
    terminal = Terminal(hub, write_env(tmp_path / "env"))
    try:
        terminal.until("How would you like to log in?")
        terminal.until("Paste an access token")
        terminal.until_keys_are_read()
        terminal.type("2")
        terminal.until("Enter your token")
        terminal.type(f"{token}\n")
        assert terminal.end() == 0, terminal.seen
    finally:
        terminal.close()
    assert token not in terminal.seen
    assert "models.py" in hub.store.space("alice/my_env").files()
    assert (tmp_path / "hf-home" / "token").read_text(encoding="utf-8").strip() == token


def test_without_a_terminal_it_ends_at_once(hub: Hub, tmp_path: Path) -> None:
    hub.fresh()
    done = openenv(hub, write_env(tmp_path / "env"), "push")
    assert done.code == 1
    assert "HF_TOKEN" in done.error and "hf auth login" in done.error
    assert not [path for _, path in hub.store.requests if path != "/api/agent-harnesses"]
