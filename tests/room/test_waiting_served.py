"""The waiting room of a served app: real clients on real sockets, on every wire."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.play_env import play_app
from support.raw_clients import RawJson, RawNative, raw_json, raw_native, raw_socket
from support.servers import BOUND_S, Journal, bounded, gathered, serving

from openenv_async import AsyncEnv
from openenv_async.errors import CapacityError
from openenv_async.limits import Limits
from openenv_async.protocol.frames import Close, Closed, Failure, Hello, Open, Opened
from openenv_async.server.app import EnvApp


def app(**limits: Any) -> EnvApp:
    return play_app(Journal(), limits=Limits(**limits))


async def until_waiting(served: EnvApp, number: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while served.server.registry.waiting != number:  # noqa: ASYNC110  # the room tells nobody
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def connected(url: str) -> Any:
    """A connection of the native wire without a session."""
    async with raw_socket(url, native=True) as socket:
        client = RawNative(socket)
        assert isinstance(await client.hear(), Hello)
        yield client


@requirement("room:in-order")
async def test_capacity_4_with_64_clients_serves_all_in_order() -> None:
    full = app(max_sessions=4)
    order: list[int] = []
    heard = [asyncio.Event() for _ in range(64)]
    async with serving(full) as served, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(served.url)) for _ in range(64)]

        async def play(number: int) -> None:
            client = clients[number]
            assert isinstance(await client.hear(), Opened)
            order.append(number)
            heard[number].set()
            await client.reset()
            for n in range(1, 4):
                assert (await client.step(n=1)).total == n
            assert full.server.registry.active <= 4

        for number, client in enumerate(clients):
            await client.send(Open(1))
            await until_waiting(full, max(0, number - 3))
        players = [asyncio.create_task(play(number)) for number in range(64)]
        # Each leaves as soon as it has played, and one comes in for each that leaves.
        for number, player in enumerate(players):
            await bounded(player)
            await clients[number].socket.close()
            if number + 4 < 64:
                await bounded(heard[number + 4].wait())
        assert (full.server.registry.waiting, order[:4]) == (0, [0, 1, 2, 3])
        assert order == sorted(order)


@requirement("room:in-order")
@pytest.mark.parametrize("shared", [True, False], ids=["one connection", "a connection each"])
async def test_64_clients_of_ours_play_whole_episodes_on_4_slots(shared: bool) -> None:
    full = app(max_sessions=4)
    async with serving(full) as served:

        async def play(number: int) -> list[int]:
            headers = {} if shared else {"x-client": str(number)}
            async with AsyncEnv(base_url=served.url, headers=headers) as env:
                await env.reset()
                return [(await env.step({"n": 1})).observation["total"] for _ in range(5)]

        assert await gathered([play(number) for number in range(64)]) == [[1, 2, 3, 4, 5]] * 64
        assert (full.server.registry.active, full.server.registry.waiting) == (0, 0)


@requirement("room:fair")
async def test_a_thousand_sessions_of_one_connection_do_not_delay_anothers_single_one() -> None:
    full = app(max_sessions=2)
    async with serving(full) as served, connected(served.url) as greedy, connected(served.url) as modest:
        await greedy.send(*[Open(sid) for sid in range(1, 1001)])
        await until_waiting(full, 998)
        await modest.send(Open(1))
        await until_waiting(full, 999)
        mine = asyncio.create_task(modest.hear())
        for sid in range(1, 4):
            while not isinstance(await greedy.hear(), Opened):
                pass
            await greedy.send(Close(sid))
        assert isinstance(await bounded(mine), Opened)
        assert full.server.registry.waiting > 990


@requirement("room:leaves")
@pytest.mark.parametrize("how", ["closes the session", "closes the socket", "vanishes"])
async def test_a_waiting_client_that_goes_leaves_the_queue(how: str) -> None:
    full = app(max_sessions=1)
    async with serving(full) as served, raw_native(served.url) as first, connected(served.url) as last:
        async with connected(served.url) as goer:
            await goer.send(Open(1))
            await until_waiting(full, 1)
            await last.send(Open(1))
            await until_waiting(full, 2)
            if how == "closes the session":
                await goer.send(Close(1))
                assert isinstance(await goer.hear(), (Closed, Failure))
            elif how == "closes the socket":
                await goer.socket.close()
            else:
                goer.socket.transport.abort()
            await until_waiting(full, 1)
        await first.socket.close()
        assert isinstance(await last.hear(), Opened)


@requirement("room:leaves")
async def test_cancelling_a_client_that_waits_leaves_the_queue() -> None:
    full = app(max_sessions=1)
    async with serving(full) as served, raw_native(served.url):
        opening = asyncio.create_task(AsyncEnv.connect(served.url))
        await until_waiting(full, 1)
        opening.cancel()
        await until_waiting(full, 0)
        with pytest.raises(asyncio.CancelledError):
            await bounded(opening)


@requirement("room:timeout", "room:refusal")
@pytest.mark.parametrize(("server_s", "client_s"), [(0.05, None), (0.05, 20.0), (20.0, 0.05), (20.0, 0.0), (0.0, 5.0)])
async def test_a_client_waits_as_long_as_it_and_the_server_want(server_s: float, client_s: float | None) -> None:
    full = app(max_sessions=1, queue_timeout_s=server_s)
    async with serving(full) as served, raw_native(served.url):
        with pytest.raises(CapacityError) as caught:
            await bounded(AsyncEnv.connect(served.url, queue_timeout_s=client_s), 5)
        error = caught.value
        assert (error.active_sessions, error.max_sessions, error.waiting) == (1, 1, 0)
        assert (error.retry_after_s or 0) > 0
        assert (error.retryable, error.fault, error.code) == (True, "infrastructure", "CAPACITY_REACHED")
        assert "1/1" in str(error)


def test_a_negative_wait_is_refused() -> None:
    with pytest.raises(ValueError, match="queue_timeout_s"):
        AsyncEnv("localhost:1", queue_timeout_s=-1)


async def test_a_wait_that_is_no_number_does_not_wait() -> None:
    full = app(max_sessions=1)
    async with serving(full) as served, raw_native(served.url), connected(served.url) as client:
        await client.send(Open(1, wait_s=float("nan")))
        answer = await client.hear()
        assert isinstance(answer, Failure)
        assert (answer.code, full.server.registry.waiting) == ("CAPACITY_REACHED", 0)


@requirement("room:zero", "room:refusal")
async def test_the_json_wire_and_http_refuse_at_once() -> None:
    full = app(max_sessions=1)
    async with serving(full) as served, raw_native(served.url), raw_socket(served.url, native=False) as socket:
        said = await RawJson(socket).hear()
        assert (said.code, said.details["active_sessions"], said.details["waiting"]) == ("CAPACITY_REACHED", 1, 0)
        async with httpx.AsyncClient(base_url=served.url) as client:
            answer = await bounded(client.post("/reset", json={}))
        assert (answer.status_code, answer.json()["code"], answer.json()["max_sessions"]) == (
            503,
            "CAPACITY_REACHED",
            1,
        )
        assert int(answer.headers["retry-after"]) >= 1


async def test_the_json_wire_waits_where_the_server_says_so() -> None:
    full = app(max_sessions=1, json_queue_timeout_s=20.0)
    async with serving(full) as served, raw_native(served.url) as first, raw_json(served.url) as client:
        await until_waiting(full, 1)
        await first.socket.close()
        assert (await client.reset()).total == 0


@requirement("room:zero")
async def test_a_client_that_closes_its_connection_may_open_the_next_one_at_once() -> None:
    async with serving(app(max_sessions=1)) as served:
        for _ in range(30):
            async with raw_json(served.url) as client:
                assert (await client.reset()).total == 0


@requirement("room:capacity")
async def test_capacity_says_how_full_the_server_is() -> None:
    full = app(max_sessions=2, queue_timeout_s=7.0)
    async with serving(full) as served, httpx.AsyncClient(base_url=served.url) as client:
        empty = (await client.get("/capacity")).json()
        assert empty == {
            "active": 0,
            "max": 2,
            "waiting": 0,
            "available": 2,
            "queue_timeout_s": 7.0,
            "retry_after_s": 0.0,
            "closing": False,
            "states": {},
        }
        async with raw_native(served.url), raw_json(served.url) as json, connected(served.url) as third:
            await json.reset()
            await third.send(Open(1))
            await until_waiting(full, 1)
            told = (await client.get("/capacity")).json()
            assert (told["active"], told["waiting"], told["available"]) == (2, 1, 0)
            assert told["retry_after_s"] > 0
            assert told["states"] == {"ready": 2, "opening": 1}
        schema = (await client.get("/openapi.json")).json()["paths"]["/capacity"]["get"]["responses"]["200"]
        assert set(schema["content"]["application/json"]["schema"]["required"]) == set(empty)
