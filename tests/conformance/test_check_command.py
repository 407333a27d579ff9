"""`openenv check` as its users run it: exit codes, the table, the JSON, an end in time."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from checked import bad_server, own_server, pumping
from requirements import requirement

from openenv_async.conformance.chaos.run import ids

pytestmark = pytest.mark.slow

BOUND_S = 90.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "openenv_async.cli", "check", *arguments]


def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **(env or {})}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=BOUND_S, check=False, env=variables
    )


@pytest.fixture
def silent_port() -> Any:
    """A port where connections are made and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@requirement("check:exit-codes", "check:json")
def test_a_server_that_holds() -> None:
    with own_server("counting", "4") as url:
        done = run(url, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] and report["complete"] and report["format"] == 1 and report["target"] == url
    assert [check["id"] for check in report["checks"]] == ids(chaos=False)
    keys = {"id", "tries", "verdict", "sentence", "expected", "why", "duration_s"}
    assert all(check.keys() == keys for check in report["checks"])
    assert report["counts"]["broke"] == 0
    assert sum(report["counts"].values()) == len(report["checks"])
    assert report["server"]["wires"] == ["json", "native"] and report["server"]["max_sessions"] == 4
    assert report["latency"].keys() == {"calls", "median_ms", "p95_ms", "slowest_ms"}
    assert report["neighbour"] is None and not report["chaos"]


@requirement("check:exit-codes")
def test_a_server_that_breaks_a_promise() -> None:
    with bad_server("fresh") as url:
        done = run(url)
        as_json = run(url, "--json")
    assert done.returncode == as_json.returncode == 1
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("lost-socket"))
    assert "broke" in lines[at]
    labels = [line.split()[0] for line in lines[at + 1 : at + 4]]
    assert labels == ["expected", "happened", "matters"]
    assert lines[-1].startswith("Broke: ") and "1 broke" in lines[-1]
    assert "\x1b" not in done.stdout, "nobody reads colours in a pipe"
    [broken] = [check for check in json.loads(as_json.stdout)["checks"] if check["verdict"] == "broke"]
    assert broken["id"] == "lost-socket" and broken["expected"] and broken["why"]


@requirement("check:exit-codes")
@pytest.mark.parametrize("as_json", [False, True])
def test_no_server_there(as_json: bool) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        done = run(url, *(["--json"] if as_json else []))
    assert done.returncode == 2
    assert f"nothing answers at {url}" in done.stderr
    if as_json:
        report = json.loads(done.stdout)
        assert not report["ok"] and report["checks"] == [] and "nothing answers" in report["error"]


@requirement("check:exit-codes")
@pytest.mark.parametrize("arguments", [(".",), (), ("http://localhost:1", "--timeout", "0"), ("nowhere",)])
def test_arguments_that_cannot_be_used(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr and "Traceback" not in done.stderr


@requirement("check:bounded")
def test_a_server_that_says_nothing_is_given_up(silent_port: int) -> None:
    began = time.monotonic()
    done = run(f"http://127.0.0.1:{silent_port}", "--timeout", "6")
    assert done.returncode == 2 and "nothing answers" in done.stderr
    assert time.monotonic() - began < 20


@requirement("check:bounded")
def test_what_there_was_no_time_for_is_not_judged() -> None:
    with own_server("slow", "4") as url:
        done = run(url, "--chaos", "--json", "--timeout", "4")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["complete"]
    assert report["duration_s"] < 15
    assert [check["id"] for check in report["checks"]] == ids(chaos=True)
    late = [check for check in report["checks"] if "--timeout" in check["sentence"]]
    assert late and {check["verdict"] for check in late} == {"not judged"}


@requirement("check:interrupted")
def test_ctrl_c_shows_what_was_found() -> None:
    with own_server("slow", "4") as url:
        child = begun(url, "--chaos")
        try:
            assert child.stdout is not None and child.stderr is not None
            lines: queue.SimpleQueue[str] = queue.SimpleQueue()
            reader = pumping(child.stdout, lines)
            read: list[str] = []
            while not any(line.startswith("seed") for line in read):
                read.append(lines.get(timeout=BOUND_S))
            said = interrupted(child)
            reader.join(BOUND_S)
            while not lines.empty():
                read.append(lines.get())
        finally:
            ended(child)
        assert "stopped" in said and "Traceback" not in said
        assert read[-1].startswith("Not finished: ")
        # Its sessions are gone with it.
        after = run(url, "--json")
        assert after.returncode == 0, after.stdout


@requirement("check:interrupted")
def test_ctrl_c_in_json() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND_S)
        child = begun(f"http://127.0.0.1:{listener.getsockname()[1]}", "--json")
        try:
            connection, _ = listener.accept()
            with connection:
                said = interrupted(child)
            assert child.stdout is not None
            report = json.loads(child.stdout.read())
        finally:
            ended(child)
    assert "stopped" in said and "Traceback" not in said
    assert not report["complete"] and not report["ok"] and report["checks"] == []


def begun(*arguments: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    )


def interrupted(child: subprocess.Popen[str]) -> str:
    """Press Ctrl-C and give what it says of that."""
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    assert child.stderr is not None
    return child.stderr.read()


def ended(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def test_no_colour_on_request() -> None:
    import pty

    with own_server("counting", "4") as url:
        for env, coloured in (({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
            master, slave = pty.openpty()
            child = subprocess.Popen(
                command(url), stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **env}
            )
            os.close(slave)
            shown = b""
            try:
                while data := os.read(master, 65536):
                    shown += data
            except OSError:  # Linux: the other end is closed
                pass
            finally:
                os.close(master)
            assert child.wait(BOUND_S) == 0
            # What draws a line over is no colour.
            assert bool(re.search(rb"\x1b\[[\d;]*m", shown)) == coloured
            left = [line.rpartition(b"\x1b[2K")[2] for line in shown.split(b"\r\n")]
            assert max(len(line.replace(b"\x1b[", b"")) for line in left) <= 110
