"""`/metrics` has the counts of a server in Prometheus' format, and needs its token."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.logs_and_metrics import Scrape, scrape
from support.play_env import play_app
from support.servers import Journal, bounded, gathered, serving

from openenv_async import AsyncEnv, Limits
from openenv_async.errors import EnvError, EnvironmentFailed, InvalidPayload
from openenv_async.observe.metrics import OTHER


def histogram_is_sound(found: Scrape, name: str, **labels: str) -> float:
    """Check what Prometheus expects of a histogram; gives its count."""
    buckets = found.buckets(name, **labels)
    bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf")
    assert counts == sorted(counts)
    total = found.value(f"{name}_count", **labels)
    assert counts[-1] == total
    assert found.value(f"{name}_sum", **labels) >= 0
    return total


@requirement("metrics:counts")
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_every_step_is_counted(execution: Any) -> None:
    async with serving(play_app(Journal(), execution)) as served:
        envs = [AsyncEnv[Any, Any, Any](served.url) for _ in range(3)]
        for env in envs:
            await env.connect()
            await env.reset()
        before = await scrape(served.url)
        for env in envs:
            for _ in range(7):
                await env.step({"n": 1})
        await envs[0].state()
        with pytest.raises(EnvironmentFailed):
            await envs[0].step({"op": "raise"})
        with pytest.raises(InvalidPayload):
            await envs[0].step({"m": 1})
        found = await scrape(served.url)
        assert found.value("openenv_steps_total") == 21
        assert found.value("openenv_episodes_total") == 3
        assert histogram_is_sound(found, "openenv_call_seconds", call="step") == 23
        assert histogram_is_sound(found, "openenv_call_seconds", call="reset") == 3
        assert histogram_is_sound(found, "openenv_call_seconds", call="state") == 1
        assert found.value("openenv_errors_total", code="EXECUTION_ERROR") == 1
        assert found.value("openenv_errors_total", code="VALIDATION_ERROR") == 1
        assert found.value("openenv_sessions", state="ready") == 3
        assert found.value("openenv_slots_in_use") == 3
        assert found.value("openenv_connections", wire="native") == 1
        for name in ("openenv_received_bytes_total", "openenv_sent_bytes_total"):
            assert found.value(name, wire="native") > before.value(name, wire="native") > 0
        for env in envs:
            await env.close()
        after = await scrape(served.url)
        assert after.value("openenv_steps_total") == 21
        assert after.value("openenv_sessions_ended_total", reason="closed") == 3
        assert after.value("openenv_sessions_opened_total") == 3
        assert after.value("openenv_slots_in_use") == 0


async def test_the_other_wires_are_counted_too() -> None:
    async with serving(play_app(Journal())) as served:
        async with AsyncEnv[Any, Any, Any](served.url, wire="json") as env:
            await env.reset()
            await env.step({"n": 1})
            with pytest.raises(EnvError):
                await env.step({"nothing": 1})
            async with httpx.AsyncClient() as client:
                body = (await client.post(f"{served.url}/reset", json={})).content
            found = await scrape(served.url)
        assert found.value("openenv_steps_total") == 1
        assert found.value("openenv_episodes_total") == 2
        assert found.value("openenv_connections", wire="json") == 1
        assert found.value("openenv_errors_total", code="VALIDATION_ERROR") == 1
        assert found.value("openenv_received_bytes_total", wire="json") > 0
        assert found.value("openenv_sent_bytes_total", wire="json") > 0
        assert found.value("openenv_sent_bytes_total", wire="http") == len(body)
        assert found.value("openenv_received_bytes_total", wire="http") == 2


async def test_sessions_that_wait_for_a_slot_are_seen() -> None:
    async with serving(play_app(Journal(), limits=Limits(max_sessions=1))) as served:
        held = AsyncEnv[Any, Any, Any](served.url)
        await held.connect()
        waits = asyncio.ensure_future(AsyncEnv[Any, Any, Any](served.url).open())
        while (found := await scrape(served.url)).value("openenv_sessions_waiting") != 1:
            pass
        assert found.value("openenv_slots") == 1
        waits.cancel()
        await bounded(asyncio.wait([waits]))
        await held.close()


class OwnError(EnvError):
    """An author may raise the runtime's errors with codes of his own."""


async def test_all_codes_of_authors_are_counted_as_one() -> None:
    from openenv_async.observe.metrics import Metrics

    metrics = Metrics()
    for number in range(1000):
        error = OwnError("x")
        error.code = f"OWN_{number}"
        metrics.failed(error)
    metrics.failed(RuntimeError())
    assert dict(metrics.errors) == {OTHER: 1000, "INTERNAL": 1}


@requirement("metrics:token")
async def test_metrics_need_the_token() -> None:
    async with serving(play_app(Journal(), token="s3cret-token")) as served:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{served.url}/metrics")).status_code == 401
        found = await scrape(served.url, authorization="Bearer s3cret-token")
        assert found.value("openenv_slots") > 0


async def test_openmetrics_is_returned_when_accept_asks_for_it() -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    accept = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    async with serving(play_app(Journal())) as served:
        async with AsyncEnv[Any, Any, Any](served.url) as env:
            await env.reset()
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{served.url}/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    read: Any = text_string_to_metric_families
    families = {family.name: family for family in read(answer.text)}
    assert families["openenv_steps"].type == "counter"
    assert families["openenv_call_seconds"].type == "histogram"
    assert families["openenv_build"].type == "info"


@requirement("metrics:off")
async def test_metrics_that_are_off_say_how_to_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(play_app(Journal(), metrics=False)) as served, httpx.AsyncClient() as client:
        answer = await client.get(f"{served.url}/metrics")
    assert answer.status_code == 501 and "--no-metrics" in answer.json()["detail"]
    monkeypatch.setenv("OPENENV_METRICS", "0")
    async with serving(play_app(Journal())) as served, httpx.AsyncClient() as client:
        assert (await client.get(f"{served.url}/metrics")).status_code == 501


@requirement("metrics:off")
def test_without_prometheus_client_the_extra_is_named_and_everything_else_works() -> None:
    # An interpreter in which the package cannot be found, as where it was never installed.
    program = """
import importlib.util, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "prometheus_client":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "prometheus_client" else found(name, package)
sys.path[:0] = ["tests"]
from starlette.testclient import TestClient
from support.servers import Journal
from support.play_env import play_app
with TestClient(play_app(Journal())) as client:
    answer = client.get("/metrics")
    print(answer.status_code, answer.json()["detail"])
    print(client.post("/reset", json={}).status_code)
assert "prometheus_client" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    first, second = done.stdout.splitlines() or [done.stderr, ""]
    assert first.startswith("501 ") and "pip install 'openenv-async[metrics]'" in first
    assert second == "200"


async def test_scrapes_of_a_busy_server_are_consistent() -> None:
    async with serving(play_app(Journal())) as served:

        async def play() -> int:
            async with AsyncEnv[Any, Any, Any](served.url) as env:
                await env.reset()
                for _ in range(50):
                    await env.step({"n": 1})
            return 50

        async def look() -> int:
            for _ in range(5):
                found = await scrape(served.url)
                histogram_is_sound(found, "openenv_call_seconds", call="step")
                histogram_is_sound(found, "openenv_event_loop_lag_seconds")
            return 0

        assert sum(await gathered([play(), play(), look()])) == 100
        assert (await scrape(served.url)).value("openenv_steps_total") == 100
