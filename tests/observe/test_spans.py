"""Spans of a trainer and of its server arrive at one collector, as one trace."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from receiving import Collector, Span, collecting
from requirements import requirement
from support import PROGRAMS, ROOT
from support.play_env import play_app
from support.servers import BOUND_S, Journal, serving

from openenv_async import AsyncEnv, tracing
from openenv_async.runtime.calls import Call, Wire
from openenv_async.runtime.processes import messages

PROGRAM = PROGRAMS / "traced_env.py"
SERVER, CLIENT = "openenv-server", "openenv-client"


def variables(collector: Collector | None, **more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    clean["PYTHONPATH"] = str(ROOT)
    if collector is not None:
        clean |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    return clean | more


@contextlib.contextmanager
def server(execution: str, environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "serve", execution], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND_S) == 0
    finally:
        process.kill()
        process.communicate()


def play(url: str, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "play", url],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def named(spans: list[Span], name: str) -> list[Span]:
    return sorted((span for span in spans if span.name == name), key=lambda span: span.began_ns)


@requirement("otel:context")
@pytest.mark.parametrize("execution", ["inline", "thread", "process"])
def test_a_call_is_one_trace_from_the_trainer_through_the_server_to_the_environments_own_spans(execution: str) -> None:
    with collecting() as collector, server(execution, variables(collector)) as (url, _):
        session_id, request_id = play(url, variables(collector))
        theirs = collector.until(CLIENT, lambda spans: len(spans) >= 3)
        ours = collector.until(SERVER, lambda spans: len(spans) >= 4)
        authors = collector.until("author", lambda spans: len(spans) >= 2)
    (session,) = named(ours, "openenv.session")
    assert session.attributes["openenv.session_id"] == session_id
    assert (session.attributes["openenv.steps"], session.attributes["openenv.episodes"]) == (1, 1)
    for name in ("openenv.reset", "openenv.step"):
        pairs = list(zip(named(theirs, name), named(ours, name), strict=True))
        assert pairs
        for client, at_server in pairs:
            assert (client.kind, at_server.kind) == (3, 2)
            assert (at_server.trace_id, at_server.parent_id) == (client.trace_id, client.span_id)
            assert client.attributes["openenv.session_id"] == at_server.attributes["openenv.session_id"] == session_id
            assert client.attributes["openenv.request_id"] == at_server.attributes["openenv.request_id"]
            assert client.began_ns <= at_server.began_ns <= at_server.ended_ns <= client.ended_ns
            assert at_server.links == [session.span_id]
            assert at_server.attributes["openenv.environment"] in ("Traced", "AsyncTraced")
    failed = [span for span in (*theirs, *ours) if span.failed]
    assert [span.attributes["openenv.request_id"] for span in failed] == [int(request_id)] * 2
    assert {span.attributes["error.type"] for span in failed} == {"EXECUTION_ERROR"}
    steps = named(theirs, "openenv.step")
    assert [(span.trace_id, span.parent_id) for span in named(authors, "judge")] == [
        (step.trace_id, step.span_id) for step in steps
    ]


def test_a_client_that_makes_no_spans_has_those_of_its_session() -> None:
    with collecting() as collector, server("inline", variables(collector)) as (url, _):
        play(url, variables(None))
        ours = collector.until(SERVER, lambda spans: len(spans) >= 4)
    (session,) = named(ours, "openenv.session")
    calls = [span for span in ours if span is not session]
    assert {(span.trace_id, span.parent_id) for span in calls} == {(session.trace_id, session.span_id)}


def test_the_json_wire_carries_no_trace_and_both_make_spans() -> None:
    with collecting() as collector, server("inline", variables(collector)) as (url, _):
        play(url, variables(collector, JSON="1"))
        theirs = collector.until(CLIENT, lambda spans: len(spans) >= 3)
        ours = collector.until(SERVER, lambda spans: len(spans) >= 4)
    assert not {span.trace_id for span in theirs} & {span.trace_id for span in ours}


@requirement("otel:unused")
def test_without_an_endpoint_nothing_of_opentelemetry_is_used() -> None:
    program = (
        "import sys, asyncio\nsys.path[:0] = ['tests']\n"
        "from support.servers import Journal, serving\nfrom support.play_env import play_app\n"
        "from openenv_async import AsyncEnv\n"
        "async def main():\n"
        "    async with serving(play_app(Journal())) as served, AsyncEnv(served.url) as env:\n"
        "        await env.reset(); await env.step({'n': 1})\n"
        "        assert type(env._channel).__name__ == 'NativeChannel' and not env._channel.traces\n"
        "asyncio.run(main())\nprint([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=variables(None), timeout=60, check=False
    )
    assert done.stdout == "[]\n", done.stderr


async def test_a_server_that_is_asked_for_spans_without_the_packages_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "_NEEDED", ("opentelemetry_that_is_not_there.sdk",))
    async with serving(play_app(Journal(), otel=True)) as served, AsyncEnv[Any, Any, Any](served.url) as env:
        await env.reset()
    assert "pip install 'openenv-async[otel]'" in caplog.text


NAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("name", ["", "nonsense", NAME[:-1], NAME.upper() + "\n", "x" * 55, "\ud800" * 55, "0" * 55])
def test_an_invalid_trace_is_ignored(name: str) -> None:
    assert tracing.context_of(name) is None
    assert tracing.run_under(name, lambda: 7) == 7
    call = Call("step", b"\x80", Wire.NATIVE, 1.5, name)
    sent = messages.read_request(messages.call_request(call, 3, 4))
    assert (sent.call.kind, sent.call.payload, sent.call.timeout_s) == ("step", b"\x80", 1.5)


def test_a_trace_reaches_a_process_as_it_was() -> None:
    call = Call("reset", b"\x80", Wire.JSON, None, NAME)
    assert messages.read_request(messages.call_request(call, 1, 2)).call == call
    assert tracing.context_of(NAME) is not None
