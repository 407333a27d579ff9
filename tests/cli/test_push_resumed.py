"""A push that is cut off, and the next one: what the Hub has already is not sent again."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub.pushing import BOUND_S, command, openenv, put, variables, write_env
from support.hub.server import Hub, running_hub

SIZE = 2_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub) -> Hub:
    return server.fresh()


def digest(number: int) -> str:
    return hashlib.sha256(bytes([number]) * SIZE).hexdigest()


@pytest.mark.parametrize("cut", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_the_next_push_sends_only_what_is_missing(cut: signal.Signals, hub: Hub, tmp_path: Path) -> None:
    env, token = write_env(tmp_path / "env"), hub.store.add_user("alice")
    for number in range(4):
        put(env, f"part-{number}.bin", bytes([number]) * SIZE)
    hub.store.stall_after = 2
    pushing = subprocess.Popen(
        command("push"),
        cwd=env,
        env=variables(hub, tmp_path / "hf-home", token),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert hub.store.stalled.wait(BOUND_S), "the third file was not sent"
        pushing.send_signal(cut)
        _, err = pushing.communicate(timeout=BOUND_S)
    finally:
        pushing.kill()
        pushing.communicate()
    if cut is signal.SIGINT:
        assert pushing.returncode == 130
        assert err.splitlines()[-1].startswith("Error: stopped; run it again")
        assert "Traceback" not in err
    assert hub.store.stored == [digest(0), digest(1)]
    assert "models.py" not in hub.store.space("alice/my_env").files(), "half an environment was published"

    hub.store.stall_after = None
    done = openenv(hub, env, "push", token=token)
    assert done.code == 0, done.err
    assert hub.store.stored == [digest(number) for number in range(4)], "something was sent twice"
    files = hub.store.space("alice/my_env").files()
    assert [files[f"part-{number}.bin"][0] for number in range(4)] == [0, 1, 2, 3]
    assert len(hub.store.commits) == 1
