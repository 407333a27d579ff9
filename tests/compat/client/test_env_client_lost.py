"""What OpenEnv's client does when the server errs, stalls, refuses, vanishes or answers late."""

from __future__ import annotations

import asyncio
import json

import pytest
from requirements import requirement
from support.compat_server import Add, PlayClient, Total, world
from support.scripted_json_server import Peer, json_server, observation
from support.servers import bounded

from openenv_async.compat.client.generic_client import GenericEnvClient


@requirement("compat-client:errors")
async def test_a_servers_error_reads_as_openenvs_does() -> None:
    with world() as served:
        async with GenericEnvClient(served.url) as env:
            await env.reset()
            with pytest.raises(RuntimeError) as caught:
                await env.step({"op": "raise"})
            assert type(caught.value) is RuntimeError
            assert str(caught.value) == "Server error: the pot is empty (code: EXECUTION_ERROR)"
            with pytest.raises(RuntimeError, match=r"^Server error: .* \(code: VALIDATION_ERROR\)$"):
                await env.step({"no": "such field"})
            assert (await env.step({"n": 2})).observation["total"] == 2


@requirement("compat-client:errors")
async def test_no_server() -> None:
    env = GenericEnvClient("http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"^Failed to connect to ws://127\.0\.0\.1:9/ws: "):
        await env.reset()
    with pytest.raises(ConnectionError):
        await env.connect()


@requirement("compat-client:errors", "compat-client:fails-loudly")
async def test_no_answer_in_time() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if request["type"] != "step":
                await peer.send(observation(n=0))

    async with json_server(script) as url, GenericEnvClient(url, message_timeout_s=0.1) as env:
        await env.reset()
        with pytest.raises(TimeoutError, match="0.1 s"):
            await env.step({})
        with pytest.raises(ConnectionError, match=r"call reset\(\)"):
            await env.step({})
        assert (await env.reset()).observation == {"n": 0}


@pytest.mark.parametrize("loss", ["no answer", "drop"])
async def test_a_reset_whose_outcome_is_unknown_is_no_beginning(loss: str) -> None:
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.request()
        if connections == 1:
            if loss == "drop":
                await peer.drop()
            await peer.request()
        await peer.send(observation(n=connections))

    async with json_server(script) as url:
        env = GenericEnvClient(url, message_timeout_s=0.2)
        with pytest.raises(TimeoutError if loss == "no answer" else ConnectionError):
            await env.reset()
        for call in (env.step, env._step_async):
            with pytest.raises(ConnectionError, match=r"call reset\(\)"):
                await call({})
        assert connections == 1
        assert (await env.reset()).observation == {"n": 2}
        await env.close()


async def test_a_late_answer_is_nobody_elses() -> None:
    late = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if request.get("data", {}).get("slow"):
                await late.wait()
            await peer.send(observation(echo=request.get("data")))

    async with json_server(script) as url, GenericEnvClient(url, message_timeout_s=0.1) as env:
        await env.reset(first=1)
        with pytest.raises(TimeoutError):
            await env.step({"slow": True})
        answering = asyncio.create_task(env.reset(second=2))
        late.set()
        assert (await answering).observation == {"echo": {"second": 2}}
        assert (await env.step({"third": 3})).observation == {"echo": {"third": 3}}


@requirement("compat-client:fails-loudly")
async def test_a_connection_lost_during_a_step() -> None:
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        while True:
            if (await peer.request())["type"] == "step":
                await peer.drop()
            await peer.send(observation(connection=connections))

    async with json_server(script) as url, GenericEnvClient(url) as env:
        await env.reset()
        with pytest.raises(ConnectionError, match=r"lost.*call reset\(\)"):
            await env.step({})
        for call in (env.step, env._step_async):
            with pytest.raises(ConnectionError, match=r"call reset\(\)"):
                await call({})
        with pytest.raises(ConnectionError):
            await env.state()
        with pytest.raises(ConnectionError):
            await env._send_and_receive({"type": "state"})  # how trainers ask whether a connection lives
        assert connections == 1
        assert (await env.reset()).observation == {"connection": 2}


@requirement("compat-client:fails-loudly")
async def test_a_server_that_was_started_anew() -> None:
    with world() as first:
        port = int(first.url.rpartition(":")[2])
        env = PlayClient(first.url)
        await env.reset(start=3)
    with world(port=port) as second:
        with pytest.raises(ConnectionError, match=r"call reset\(\)"):
            await env.step(Add(1))
        assert second.journal.count("built") == 0
        assert (await env.reset(start=4)).observation == Total(4)
        await env.close()


async def test_reset_goes_on_where_nobody_had_noticed_the_loss() -> None:
    with world() as first:
        port = int(first.url.rpartition(":")[2])
        env = PlayClient(first.url)
        await env.reset(start=3)
    with world(port=port):
        assert (await env.reset(start=4)).observation == Total(4)
        await env.close()


async def test_connect_opens_anew_because_it_says_so() -> None:
    with world() as first:
        port = int(first.url.rpartition(":")[2])
        env = PlayClient(first.url)
        await env.reset(start=3)
    with world(port=port) as second:
        with pytest.raises(ConnectionError):
            await env.state()
        assert await env.connect() is env
        assert await env.state() == {"so far": 0}
        await env.close()
        assert second.journal.count("closed") == 1


async def test_a_full_server_says_so_and_a_later_reset_gets_in() -> None:
    with world(max_concurrent_envs=1) as served:
        async with PlayClient(served.url) as first:
            await first.reset()
            second = PlayClient(served.url)
            with pytest.raises(RuntimeError, match=r"\(code: CAPACITY_REACHED\)$"):
                await bounded(second.reset())
        assert (await bounded(second.reset(start=2))).observation == Total(2)
        await second.close()


async def test_a_close_waits_for_the_end_of_the_session() -> None:
    said: list[str] = []

    async def script(peer: Peer) -> None:
        said.append((await peer.request())["type"])
        await peer.send(observation())

    async with json_server(script) as url:
        env = GenericEnvClient(url)
        await env.reset()
        await env.close()
        await env.close()
    assert said == ["reset"]


async def test_an_answer_that_is_too_large_is_an_error_and_no_more() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await peer.send(observation(text="x" * (300_000 if request["type"] == "step" else 3)))

    async with json_server(script) as url, GenericEnvClient(url, max_message_size_mb=0.25) as env:
        await env.reset()
        with pytest.raises(RuntimeError, match="max_message_size_mb"):
            await env.step({})
        assert (await env.reset()).observation == {"text": "xxx"}


async def test_what_is_no_json_is_an_error_that_says_so() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send_raw("<html>")
        await peer.request()
        await peer.send_raw(json.dumps([1]))

    async with json_server(script) as url, GenericEnvClient(url) as env:
        for _ in range(2):
            with pytest.raises(ConnectionError, match="OpenEnv"):
                await env.reset()


@pytest.mark.parametrize("call", ["reset", "step"])
async def test_a_close_ends_the_call_that_is_in_flight(call: str) -> None:
    asked, connections = asyncio.Event(), 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.request()
        await peer.send(observation())
        await peer.request()
        asked.set()

    async with json_server(script) as url:
        env = GenericEnvClient(url)
        await env.reset()
        in_flight = asyncio.create_task(env.reset() if call == "reset" else env.step({}))
        await bounded(asked.wait())
        await bounded(env.close())
        with pytest.raises(ConnectionError):
            await bounded(in_flight)
        assert connections == 1
