"""`openenv serve` writes its log for people or for machines, and each line says whose it is."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from requirements import requirement
from support.serve_command import edit, serving, write_env

from openenv_async import AsyncEnv
from openenv_async.errors import EnvironmentFailed, StepTimeout

SECRET = "hf_averysecretvalue123"


def talking_env(folder: Path) -> Path:
    """An environment that logs in its own words, and raises on request."""
    write_env(folder)
    code = folder / "server" / "environment.py"
    edit(code, "import os, sys, time", "import logging, os, sys, time")
    edit(
        code,
        '        if action.message == "token":',
        '        seen = {"mood": "calm", "api_key": "K" * 9, "seen": [action.message]}\n'
        '        logging.getLogger("author").warning("message %s", action.message, extra=seen)\n'
        '        if action.message == "raise":\n            raise ValueError("the pot is empty")\n'
        '        if action.message == "token":',
    )
    return folder


async def play(url: str) -> list[Any]:
    async with AsyncEnv[Any, Any, Any](url) as env:
        await env.reset()
        result = await env.step({"message": f"my {SECRET}"})
        with pytest.raises(EnvironmentFailed) as failed:
            await env.step({"message": "raise"})
        assert env.session_id == result.session_id
        return [env.session_id, result, failed.value]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@requirement("logs:json", "logs:ids")
@pytest.mark.parametrize("execution", ["thread", "process"])
def test_a_rollout_is_followed_through_json_lines(execution: str, tmp_path: Path) -> None:
    talking_env(tmp_path / "my_env")
    variables = {"AUTHOR_TOKEN": SECRET}
    options = ("my_env", "--port", "0", "--log-format", "json", "--execution", execution, "--log-level", "debug")
    with serving(*options, cwd=tmp_path, variables=variables) as server:
        name, result, failed = asyncio.run(play(server.url()))
        server.process.send_signal(signal.SIGTERM)
        code, text = server.end()
    assert code == 0
    assert SECRET not in text
    lines = lines_of(text)
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"])
        assert line["level"] in ("debug", "info", "warning", "error")
        assert line["logger"] and isinstance(line["message"], str)
    # Requests are among them, where they are asked for: the client's WebSocket.
    assert any(line["logger"] == "openenv_async.access" and "/ws" in line["message"] for line in lines)
    mine = [line for line in lines if line.get("session_id") == name]
    (said, again) = [line for line in mine if line["logger"] == "author"]
    assert said["message"].removeprefix(f"[session {name}] ") == "message my [secret]"
    assert (said["request_id"], again["request_id"]) == (result.request_id, failed.request_id) == (2, 3)
    if execution == "thread":
        assert (said["mood"], said["api_key"], said["seen"]) == ("calm", "[secret]", ["my [secret]"])
    else:
        assert said["pid"] != server.process.pid
    (raised,) = [line for line in mine if "ValueError: the pot is empty" in json.dumps(line)]
    assert raised["request_id"] == 3 and failed.details["error_id"] in raised["message"]
    events = [line["event"] for line in mine if "event" in line and line["event"] != "environment_raised"]
    assert events == ["session_waiting", "session_opened", "call", "call", "call", "session_ended"]
    (ended,) = [line for line in mine if line.get("event") == "session_ended"]
    assert (ended["episodes"], ended["steps"], ended["code"], ended["level"]) == (1, 1, "CLOSED", "info")
    assert ended["duration_s"] > 0 and ended["reason"] == "closed by its client"


@requirement("logs:ids")
def test_text_lines_say_whose_they_are(tmp_path: Path) -> None:
    talking_env(tmp_path / "my_env")
    with serving("my_env", "--port", "0", "--log-level", "info", cwd=tmp_path) as server:
        name, _, failed = asyncio.run(play(server.url()))
        server.process.send_signal(signal.SIGTERM)
        code, text = server.end()
    assert code == 0
    assert re.search(rf"WARNING author: message my {SECRET} \[session {name}, request 2\]", text)
    assert re.search(rf"ERROR openenv_async: step\(\) of session {name} raised .* \[request 3\]", text)
    ended = rf"INFO openenv_async.sessions: session {name} has ended after \S+ s with 1 episodes and 1 steps: closed"
    assert re.search(ended, text)
    # Nothing is written for a step that went well.
    assert len(re.findall(name, text)) == 4
    assert failed.request_id == 3


def test_a_server_whose_output_nobody_reads_is_quiet_about_sessions_with_which_all_is_well(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")

    async def play_well(url: str) -> None:
        async with AsyncEnv[Any, Any, Any](url) as env:
            await env.reset()

    with serving("my_env", "--port", "0", cwd=tmp_path) as server:
        asyncio.run(play_well(server.url()))
        server.process.send_signal(signal.SIGTERM)
        code, text = server.end()
    assert code == 0
    assert "openenv_async.sessions" not in text


def test_a_deadline_is_one_line(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")

    async def hang(url: str) -> str | None:
        async with AsyncEnv[Any, Any, Any](url) as env:
            await env.reset()
            name = env.session_id
            with pytest.raises(StepTimeout):
                await env.step({"message": "hang 0.5"}, timeout_s=0.1)
            return name

    options = ("my_env", "--port", "0", "--log-format", "json", "--grace", "0")
    with serving(*options, cwd=tmp_path) as server:
        name = asyncio.run(hang(server.url()))
        server.process.send_signal(signal.SIGTERM)
        _, text = server.end()
    (line,) = [each for each in lines_of(text) if each.get("event") == "deadline"]
    assert (line["session_id"], line["request_id"], line["call"]) == (name, 2, "step")
    assert (line["timeout_s"], line["level"]) == (0.1, "warning")
