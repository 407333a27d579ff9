"""Lines of recordings: every wire, every value, and redaction."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from requirements import requirement
from support.recordings import files, lines, only, recording_app
from support.servers import bounded, serving

from openenv_async import AsyncEnv, __version__
from openenv_async.codec import encode_any_msgpack
from openenv_async.conformance.comparing import difference
from openenv_async.errors import EnvironmentFailed
from openenv_async.recording import RecordOptions
from openenv_async.recording.lines import encoded
from openenv_async.recording.reading import read_recording
from openenv_async.recording.values import from_json, from_msgpack, to_json


async def play(env: AsyncEnv[Any, Any, Any]) -> None:
    await env.reset(seed=7, start=2)
    await env.step({"n": 3})
    with pytest.raises(EnvironmentFailed):
        await env.step({"op": "raise"})
    await env.step({"op": "end", "n": 1})
    await env.state()


@requirement("record:lines")
@pytest.mark.parametrize("wire", ["native", "json"])
@pytest.mark.parametrize("execution", ["thread", "inline"])
async def test_a_session_is_a_file_of_lines(wire: Any, execution: Any, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    async with serving(recording_app(folder, execution)) as served, AsyncEnv(served.url, wire=wire) as env:
        await play(env)
    first, reset, step, failed, last, state, end = only(folder)
    assert first.items() >= {"type": "session", "version": 1, "environment": "play", "wire": wire}.items()
    assert first["openenv_async"] == __version__ and first["session_id"] in files(folder)[0].name
    assert (reset["type"], reset["request"], reset["observation"]["total"]) == ("reset", {"seed": 7, "start": 2}, 2)
    assert (step["request"]["n"], step["observation"]["total"], step["reward"], step["done"]) == (3, 5, 3.0, False)
    assert failed["error"] == {"code": "EXECUTION_ERROR", "message": "the pot is empty"} and "observation" not in failed
    assert last["done"] is True and state["state"]["total"] == 6 and "request" not in state
    assert (end["type"], end["reason"]) == ("end", "closed")
    calls = [reset, step, failed, last, state]
    assert [call["request_id"] for call in calls] == sorted({call["request_id"] for call in calls})
    moments = [first["started_at"], *(call["at"] for call in calls), end["at"]]
    assert moments == sorted(moments) and all(call["latency_ms"] > 0 for call in calls)
    assert files(folder)[0].stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700


@requirement("record:lines")
async def test_sessions_over_http_are_recorded_too(tmp_path: Path) -> None:
    async with serving(recording_app(tmp_path)) as served, httpx.AsyncClient(base_url=served.url) as http:
        await bounded(http.get("/metadata"))
        name = (await bounded(http.post("/reset", json={"seed": 1}))).headers["x-session-id"]
        await bounded(http.post("/step", json={"action": {"n": 2}}, headers={"x-session-id": name}))
        await bounded(http.delete("/session", headers={"x-session-id": name}))
    first, reset, step, _ = only(tmp_path)
    assert (first["wire"], reset["request"], step["request"], step["reward"]) == ("http", {"seed": 1}, {"n": 2}, 2.0)


@requirement("record:lines")
async def test_a_line_can_be_read_while_the_session_is_played(tmp_path: Path) -> None:
    app = recording_app(tmp_path)
    async with serving(app) as served, AsyncEnv(served.url) as env:
        await env.reset()
        assert app.server.recorder is not None
        await app.server.recorder.aclose()
        assert [line["type"] for line in only(tmp_path)] == ["session", "reset"]
        await env.step({"n": 1})
    assert [line["type"] for line in only(tmp_path)] == ["session", "reset", "step", "end"]


@requirement("record:lines")
async def test_a_session_without_calls_has_no_file(tmp_path: Path) -> None:
    async with serving(recording_app(tmp_path)) as served, AsyncEnv(served.url):
        pass
    assert files(tmp_path) == []


VALUES: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "nan": math.nan,
    "inf": [math.inf, -math.inf, -0.0],
    "large": [2**53, -(2**53), 2**64 - 1, 2**100, -(2**5000)],
    "array": np.arange(6, dtype=">i2").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.datetime64("2026-01-01"),
    "complex": 1 + 2j,
    "keys": {1: "one", b"b": 2, "$bytes": "text", None: 3},
    "marked": {"$bytes": "not base64"},
    "surrogate": "half a \ud800 pair",
    "text": "zwölf\n\u2028",
    "nested": {"a": [{"b": {"c": b"x"}}]},
    "empty": [{}, [], "", b""],
}


@requirement("record:values")
@pytest.mark.parametrize("name", VALUES)
async def test_every_value_of_the_native_wire_is_read_back_unchanged(name: str, tmp_path: Path) -> None:
    async with serving(recording_app(tmp_path)) as served, AsyncEnv(served.url, wire="native") as env:
        await env.reset()
        sent = (await env.step({"op": "echo", "value": VALUES[name]})).observation["value"]
    episode = read_recording(files(tmp_path)[0]).episodes[0]
    step = episode.calls[1]
    assert difference(sent, step.observation["value"]) is None
    assert difference(VALUES[name], step.request["value"]) is None


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@requirement("record:values")
@given(PLAIN)
def test_the_line_of_any_value_is_json_and_is_read_back(value: Any) -> None:
    line = encoded({"v": to_json(from_msgpack(encode_any_msgpack(value)))})
    assert line.count(b"\n") == 1
    again = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    # As it is after the wire: what matters here is what the file adds.
    assert difference(from_json(to_json(from_msgpack(encode_any_msgpack(value)))), from_json(again["v"])) is None
    assert difference(value, from_json(again["v"])) is None


@requirement("record:values")
@pytest.mark.parametrize(
    "bad", [{"$bytes": 1}, {"$bytes": "?"}, {"$float": "1"}, {"$array": {"dtype": "O"}}, {"$map": [1]}, {"$int": "x"}]
)
def test_a_marked_value_with_invalid_content_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="has invalid content"):
        from_json([bad])
    assert from_json({"$new": 1}) == {"$new": 1}


@requirement("record:redacted")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_named_fields_and_known_secrets_are_not_written(wire: Any, tmp_path: Path) -> None:
    options = RecordOptions(folder=tmp_path, redact=("password", "action.value.user.name", "observation.total"))
    value = {"password": "sesame-1", "user": {"name": "Ali Baba"}, "name": "kept", "list": [{"password": {"a": 1}}]}
    app = recording_app(options, token="correct-horse-battery")
    async with serving(app) as served, AsyncEnv(served.url, wire=wire, token="correct-horse-battery") as env:
        await env.reset()
        await env.step({"op": "echo", "value": value | {"said": "it is correct-horse-battery"}})
    text = files(tmp_path)[0].read_text()
    assert "sesame" not in text and "correct-horse" not in text
    first, _, step, _ = only(tmp_path)
    assert first["redacted"] == ["password", "action.value.user.name", "observation.total"]
    assert step["observation"]["total"] == "[redacted]"
    sent = step["request"]["value"]
    assert (sent["name"], sent["user"]["name"], sent["password"]) == ("kept", "[redacted]", "[redacted]")
    assert sent["list"] == [{"password": "[redacted]"}] and sent["said"] == "it is [secret]"
    # Named in the action alone.
    assert step["observation"]["value"]["user"]["name"] == "Ali Baba"


async def test_the_thread_ends_when_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv_async.recording.writer.IDLE_S", 0.01)
    async with serving(recording_app(tmp_path)) as served:
        for _ in range(2):
            async with AsyncEnv(served.url) as env:
                await env.reset()
            for thread in [one for one in threading.enumerate() if one.name == "openenv recording"]:
                await asyncio.to_thread(thread.join, 10)
                assert not thread.is_alive()
    assert [line["type"] for path in files(tmp_path) for line in lines(path)] == ["session", "reset", "end"] * 2
