"""`openenv replay`: shows a recording, plays it again, finds the first difference, says what is wrong with a file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import requirement
from support.recordings import files, lines
from support.serve_command import serving
from support.terminal import LONG_S, ROOT, piped, terminal

from openenv_sync import SyncEnv

PROGRAM = """
import time
import numpy as np
from openenv_async import Action, Environment, Observation, State


class PlayAction(Action):
    add: int = 0
    value: object = None
    fail: bool = False
    password: str = ""


class PlayObservation(Observation):
    total: int = 0
    clock: float = 0.0
    value: object = None
    items: list[dict[str, int]] = []
    grid: object = None


class Play(Environment[PlayAction, PlayObservation, State]):
    def __init__(self) -> None:
        self.total, self.rng = 0, np.random.default_rng()

    def reset(self, seed: int | None = None, episode_id: str | None = None, start: int = 0) -> PlayObservation:
        self.total, self.rng = start, np.random.default_rng(seed)
        return self._seen(0.0)

    def step(self, action: PlayAction) -> PlayObservation:
        if action.fail:
            raise ValueError(f"at {time.time()} it failed")
        self.total += action.add
        return self._seen(float(action.add), action.value)

    def _seen(self, reward: float, value: object = None) -> PlayObservation:
        items = [{"id": time.time_ns(), "n": n} for n in range(2)]
        grid = self.rng.normal(size=(2, 2)).astype("f4")
        return PlayObservation(
            total=self.total, clock=time.time(), value=value, items=items, grid=grid, reward=reward, done=self.total > 9
        )

    @property
    def state(self) -> State:
        return State()
"""
MOVING = ["--ignore", "observation.clock", "--ignore", "observation.items[*].id"]


def write_program(folder: Path, text: str = PROGRAM) -> str:
    (folder / "play.py").write_text(text)
    return "play:Play"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    write_program(tmp_path)
    return tmp_path


def play(url: str, wire: Any = "native", *, password: str = "") -> None:
    with SyncEnv(base_url=url, wire=wire) as env:
        env.reset(seed=3, start=1)
        value = [b"\x00", float("inf"), 2**70, {"a": None}] if wire == "native" else [1, None]
        env.step({"add": 2, "value": value, "password": password})
        with pytest.raises(Exception, match="it failed"):
            env.step({"fail": True})
        with pytest.raises(Exception, match="unknown"):
            env.step({"subtract": 1})
        env.state()
        env.reset(seed=4)
        assert env.step({"add": 12}).done


@pytest.fixture
def recorded(world: Path) -> Iterator[tuple[str, Path]]:
    """A server that records, and the file of a session over the native wire."""
    with serving("play:Play", "--port", "0", "--record", "kept", cwd=world, bound_s=LONG_S) as server:
        url = server.url()
        server.until("Every session is recorded in kept")
        play(url)
        (path,) = files(world / "kept")
        yield url, path


@requirement("replay:same", "record:values")
@pytest.mark.parametrize("wire", ["native", "json"])
def test_the_same_is_exit_0(wire: str, world: Path) -> None:
    with serving("play:Play", "--port", "0", "--record", "kept", cwd=world, bound_s=LONG_S) as server:
        url = server.url()
        play(url, wire)
        (path,) = files(world / "kept")
        done = piped("replay", str(path), "--against", url, *MOVING)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == "Same: 6 calls of 2 whole episodes.\n"
        if wire == "json":
            # As the web page writes it.
            first, rest = path.read_text().split("\n", 1)
            path.write_text(first.replace('"wire":"json",', "") + "\n" + rest)
        said = json.loads(piped("replay", str(path), "--against", url, "--json", *MOVING).stdout)
    assert (said["same"], said["calls"], said["difference"], said["notes"]) == (True, 6, None, [])


@requirement("replay:different")
def test_the_first_difference_is_exit_1(recorded: tuple[str, Path]) -> None:
    url, path = recorded
    done = piped("replay", str(path), "--against", url)
    assert done.returncode == 1
    assert re.match(r"Different: episode 1, the reset \(line 2 of \S+\)\n  observation\.clock\n", done.stdout)
    assert re.search(r"recorded  1\d+\.\d+\n    got       1\d+\.\d+\n", done.stdout)
    text = path.read_text()
    for old, new, where in (
        ('"seed":3', '"seed":5', (2, "observation.grid", "reset")),
        ('"reward":2.0', '"reward":3.5', (3, "reward", "step")),
        ('"total":12,', '"total":13,', (8, "observation.total", "step")),
        ('"done":true', '"done":false', (8, "done", "step")),
        ('"EXECUTION_ERROR"', '"VALIDATION_ERROR"', (4, "error", "step")),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        done = piped("replay", str(path), "--against", url, "--json", *MOVING)
        assert done.returncode == 1, done.stdout + done.stderr
        found = json.loads(done.stdout)["difference"]
        assert (found["line"], found["path"], found["kind"]) == where
    path.write_text(text)
    assert piped("replay", str(path), "--against", url, "--ignore", "observation.*").returncode == 0


@requirement("replay:different")
def test_another_version_of_the_environment_is_found_out(world: Path) -> None:
    with serving("play:Play", "--port", "0", "--record", "kept", cwd=world, bound_s=LONG_S) as server:
        play(server.url())
    write_program(world, PROGRAM.replace("self.total += action.add", "self.total += action.add + 1"))
    with serving("play:Play", "--port", "0", cwd=world, bound_s=LONG_S) as server:
        done = piped("replay", str(files(world / "kept")[0]), "--against", server.url(), *MOVING)
    assert done.returncode == 1
    assert "episode 1, step 1" in done.stdout and "observation.total\n    recorded  3\n    got       4\n" in done.stdout
    assert "1 call before it gave the same." in done.stdout


@requirement("replay:shown")
def test_without_a_server_the_episodes_are_shown(recorded: tuple[str, Path]) -> None:
    _, path = recorded
    shown = piped("replay", str(path))
    assert shown.returncode == 0 and "\x1b" not in shown.stdout
    assert "native wire" in shown.stdout and "2 episodes, 7 calls, ended: closed." in shown.stdout
    assert "Episode 1, reward 2 in all" in shown.stdout and "EXECUTION_ERROR: at 1" in shown.stdout
    assert re.search(r'1 step +\d+\.\d\d +2 +\{"add": 2, .* -> \{"total": 3, ', shown.stdout)
    assert re.search(r"1 step +\d+\.\d\d +12 yes ", shown.stdout)
    said = json.loads(piped("replay", str(path), "--json").stdout)
    assert [len(episode["calls"]) for episode in said["episodes"]] == [5, 2]


@requirement("replay:unusable")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"not json\n", "line 1 is not JSON"),
        (b"[1]\n", "line 1 is not a JSON object"),
        (b'{"type":"reset"}\n', "line 1 is not a `session` line"),
        (b'{"type":"session","version":2}\n', "version 2 is not known here"),
        (b'{"type":"session","version":1}\n\x00\xff\n{"type":"end"}\n', "line 2 is not JSON"),
        (
            b'{"type":"session","version":1}\n{"type":"step","request":{"a":{"$bytes":"?"}}}\n',
            "line 2: request: $bytes",
        ),
        (b'{"type":"session","version":1}\n{"type":"step","error":"x"}\n', "line 2: `error` is not an object"),
    ],
    ids=str,
)
def test_a_file_that_is_no_recording_names_its_line_and_is_exit_2(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    done = piped("replay", str(path))
    assert (done.returncode, done.stdout) == (2, "") and told in done.stderr and str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert told in json.loads(piped("replay", str(path), "--json").stdout)["error"]


@requirement("replay:unusable")
def test_what_cannot_be_played_is_exit_2(recorded: tuple[str, Path], tmp_path: Path) -> None:
    url, path = recorded
    assert piped("replay", str(tmp_path / "none.jsonl")).returncode == 2
    nobody = piped("replay", str(path), "--against", "http://127.0.0.1:9")
    assert nobody.returncode == 2 and "could not be played on http://127.0.0.1:9" in nobody.stderr
    first = path.read_text().splitlines(keepends=True)[0]
    (tmp_path / "bare.jsonl").write_text(first)
    bare = piped("replay", str(tmp_path / "bare.jsonl"), "--against", url)
    assert bare.returncode == 2 and "has no reset" in bare.stderr


@requirement("replay:unusable")
def test_a_file_that_ends_too_early_is_played_as_far_as_it_goes(recorded: tuple[str, Path], tmp_path: Path) -> None:
    url, path = recorded
    whole = path.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(whole[:3]) + whole[3][:20])
    done = piped("replay", str(cut), "--against", url, *MOVING)
    assert done.returncode == 0 and done.stdout == "Same: 2 calls of 1 whole episode.\n"
    assert "line 4, the last one, is cut short" in done.stderr and "no `end` line" in done.stderr


@requirement("replay:same")
def test_keys_and_types_that_are_not_known_are_passed_over(recorded: tuple[str, Path]) -> None:
    url, path = recorded
    changed = lines(path)
    for line in changed:
        line["colour"] = {"of": "tomorrow"}
    changed.insert(2, {"type": "weather", "at": 1})
    path.write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert piped("replay", str(path), "--against", url, *MOVING).returncode == 0


@requirement("replay:same", "record:redacted")
def test_what_was_redacted_or_says_nothing_is_not_compared(world: Path) -> None:
    options = ["--record", "kept", "--record-redact", "items", "--record-redact", "observation.clock"]
    with serving("play:Play", "--port", "0", *options, cwd=world, bound_s=LONG_S) as server:
        url = server.url()
        play(url)
        (path,) = files(world / "kept")
        done = piped("replay", str(path), "--against", url)
        assert (done.returncode, done.stdout) == (0, "Same: 6 calls of 2 whole episodes.\n"), done.stdout
        changed = path.read_text().replace('"code":"EXECUTION_ERROR"', '"code":"TIMEOUT"')
        path.write_text(changed.replace('"add":12', '"add":12,"password":"[redacted]"'))
        done = piped("replay", str(path), "--against", url)
    assert done.returncode == 0 and done.stdout == "Same: 3 calls of 0 whole episodes.\n"
    assert "ended with TIMEOUT" in done.stderr and "a field of its request is redacted" in done.stderr


@requirement("progress:terminal")
def test_on_a_terminal_the_calls_are_counted(recorded: tuple[str, Path]) -> None:
    url, path = recorded
    with terminal("replay", str(path), "--against", url, *MOVING) as shown:
        assert shown.end() == 0
        assert re.search(rb"\x1b\[2KPlaying \S+.*\d of 6 calls", shown.raw) and "Same: 6 calls" in shown.text
        assert "Playing" not in shown.text
    with terminal("replay", "--quiet", str(path), "--against", url, *MOVING) as shown:
        assert shown.end() == 0
        assert b"Playing" not in shown.raw


@requirement("record:lines")
def test_serve_says_what_cannot_be_recorded(world: Path) -> None:
    (world / "file").write_text("")
    for options, told in (
        (["--record", "file"], "file"),
        (["--record-redact", "x"], "--record-redact needs --record"),
        (["--record", "kept", "--record-file-mb", "2", "--record-total-mb", "1"], "max_total_bytes"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "openenv_async.cli", "serve", "play:Play", "--port", "0", *options],
            capture_output=True,
            text=True,
            timeout=40,
            cwd=world,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert done.returncode in (1, 2) and told in done.stderr and "Traceback" not in done.stderr, done.stderr
