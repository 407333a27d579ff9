"""What the log must not hold: secrets, whoever wrote the line, and the same line without end."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import requirement

from openenv_async.server.log_filter import HIDDEN, MOST_LINES, LogFilter
from openenv_sync import SyncEnv

TOKEN = "token-of-the-server-4711"
OTHER = "somebody-elses-secret-0815"

ENVIRONMENT = """\
import logging, os
from openenv_async import Action, Environment, Observation, State

class Say(Action):
    text: str

class Leaky(Environment[Say, Observation, State]):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Observation:
        logging.getLogger("leaky").warning("reset with %s", os.environ["MODEL_API_KEY"])
        return Observation()
    def step(self, action: Say) -> Observation:
        raise ValueError(f"cannot reach https://api.example/?api_key={os.environ['MODEL_API_KEY']} as {action.text}")
    @property
    def state(self) -> State:
        return State()
"""


@requirement("security:log")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /x?token=abc123def&n=1", f"GET /x?token={HIDDEN}&n=1"),
        ("GET /x?n=1&hf_token=abc HTTP", f"GET /x?n=1&hf_token={HIDDEN} HTTP"),
        ("Authorization: Bearer abc123def", f"Authorization: Bearer {HIDDEN}"),
        ("authorization: Basic dXNlcjpwdw==", f"authorization: Basic {HIDDEN}"),
        ("(b'authorization', b'Bearer abc123def')", f"(b'authorization', b'Bearer {HIDDEN}')"),
        ("{'Authorization': 'Bearer abc123def'}", f"{{'Authorization': 'Bearer {HIDDEN}'}}"),
        ("sent bearer abc123def.x-y_z to it", f"sent bearer {HIDDEN} to it"),
        ('{"api_key": "abc"}', f'{{"api_key": "{HIDDEN}"}}'),
        ("the known one: s3cret-known.", f"the known one: {HIDDEN}."),
        ("a reset with seed 7 played 12 tokens=3", "a reset with seed 7 played 12 tokens=3"),
        ("the bearer of bad news", "the bearer of bad news"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(line: str, expected: str) -> None:
    known = LogFilter()
    known.hide("s3cret-known")
    known.hide("a")
    assert known.clean(line) == expected
    assert known.clean(expected) == expected


@contextlib.contextmanager
def logged(made: LogFilter) -> Iterator[tuple[logging.Logger, list[str]]]:
    """A logger with the filter, and the lines that it writes."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    logger, handler = logging.getLogger("tests.filtered"), Keep()
    logger.addHandler(handler)
    logger.addFilter(made)
    logger.propagate = False
    try:
        yield logger, lines
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(made)


@requirement("security:log")
def test_tracebacks_and_arguments_are_cleaned_too() -> None:
    made = LogFilter()
    made.hide(TOKEN)
    with logged(made) as (logger, lines):
        try:
            raise ValueError(f"no access with {TOKEN}")
        except ValueError:
            logger.exception("failed for %s", TOKEN)
        logger.warning("%d arguments too few: %s", TOKEN)
    assert TOKEN not in "".join(lines)
    assert f"ValueError: no access with {HIDDEN}" in lines[0]


@requirement("flood:log")
def test_the_same_line_without_end_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("openenv_async.server.log_filter.time.monotonic", lambda: now)
    with logged(LogFilter()) as (logger, lines):
        for number in range(10_000):
            logger.warning("client %d misbehaves", number)
        assert len(lines) == MOST_LINES
        logger.warning("something else")
        assert lines[-1] == "something else"
        now += 60
        logger.warning("client %d misbehaves", 0)
        assert lines[-2] == f"{10_000 - MOST_LINES} more lines like this were left out: client %d misbehaves"
        assert lines[-1] == "client 0 misbehaves"


@requirement("security:log")
def test_no_secret_is_in_what_a_server_writes(tmp_path: Path) -> None:
    (tmp_path / "leaking.py").write_text(ENVIRONMENT)
    command = [sys.executable, "-m", "openenv_async.cli", "serve", "leaking:Leaky", "--port", "0"]
    command += ["--log-level", "debug"]
    variables = dict(os.environ) | {"OPENENV_TOKEN": TOKEN, "MODEL_API_KEY": OTHER}
    with subprocess.Popen(
        command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        bomb = threading.Timer(40, process.kill)
        bomb.start()
        try:
            assert process.stdout is not None
            lines = [next(line for line in process.stdout if line.startswith("Serving"))]
            url = lines[0].partition(" on ")[2].split()[0].rstrip(".")
            ask(url, "/capacity", {"authorization": f"Bearer {TOKEN}"})
            ask(url, f"/capacity?token={TOKEN}", {"referer": f"http://x/?token={TOKEN}"})
            ask(url, "/capacity", {"authorization": f"Bearer not-{OTHER}", "user-agent": f"Bearer {OTHER}"})
            ask(url, "/capacity", {"authorization": "Bearer\x01" + TOKEN})
            with SyncEnv(base_url=url, token=TOKEN) as env:
                env.reset()
                with pytest.raises(Exception, match="cannot reach"):
                    env.step({"text": "me"})
            process.terminate()
            lines += process.stdout.readlines()
            assert process.wait(20) == 0
        finally:
            bomb.cancel()
            process.kill()
    text = "".join(lines)
    assert "GET /capacity" in text
    assert "reset with" in text
    assert "cannot reach" in text
    assert TOKEN not in text
    assert OTHER not in text


def ask(url: str, path: str, headers: dict[str, str]) -> None:
    client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with contextlib.closing(client):
        client.request("GET", path, headers=headers)
        client.getresponse().read()
