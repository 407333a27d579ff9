"""A crash as each wire tells it, and that the next episode begins in a fresh process."""

from __future__ import annotations

from typing import Any

import pytest
from requirements import requirement
from support.raw_clients import raw_client
from support.risky_env import AsyncRisky, Risky, nothing_left, risky_app
from support.servers import bounded, serving
from support.shared_journal import until

from openenv_async import ProcessOptions, create_app
from openenv_async.limits import Limits
from openenv_async.server.options import COMMAND_LINE, Given
from openenv_async.server.settings import override

WIRES = pytest.mark.parametrize("wire", ["json", "native"])


@requirement("process:crash", "session:crash-contained")
@WIRES
async def test_a_crash_is_told_on_the_wire_without_paths(wire: str) -> None:
    async with nothing_left(), serving(risky_app()) as served:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            said = await client.step(do="segfault")
            assert said.code == "ENV_CRASHED"
            assert "SIGSEGV" in said.message
            assert "/" not in str(said.details.get("stderr", ""))
        async with raw_client(wire, served.url) as client:
            assert (await client.reset()).body["count"] == 0


@requirement("process:crash")
async def test_a_crash_over_http() -> None:
    import httpx

    async with nothing_left(), serving(risky_app()) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await bounded(client.post("/step", json={"action": {"do": "exit", "value": 3}}))
        assert answer.status_code >= 400
        assert "exited with code 3" in answer.text
        answer = await bounded(client.post("/reset", json={}))
        assert answer.status_code == 200


@requirement("process:hang", "close:client-gone", "slot:freed")
@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize("cls", [Risky, AsyncRisky])
async def test_a_call_that_hangs_ends_in_time_when_its_client_has_gone(cls: type[Risky], sessions: int) -> None:
    app = risky_app(cls, Limits(close_timeout_s=0.3), sessions_per_process=sessions)
    async with nothing_left(), serving(app) as served:
        async with raw_client("json", served.url) as neighbour, raw_client("json", served.url) as client:
            await neighbour.reset()
            await client.reset()
            await client.begin(do="sleep")
            client.socket.transport.abort()
            await until(lambda: app.server.registry.active == 1, "the slot is held", 3)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Any:
    override({})
    monkeypatch.setenv("OPENENV_EXECUTION", "process")
    monkeypatch.setenv("OPENENV_SESSIONS_PER_PROCESS", "3")
    yield monkeypatch
    override({})


@requirement("process:serve")
async def test_where_the_options_come_from(variables: pytest.MonkeyPatch) -> None:
    def options(**arguments: Any) -> ProcessOptions | None:
        pool = create_app(Risky, dict, dict, **arguments).server.processes
        return None if pool is None else pool.options

    assert options() == ProcessOptions(sessions_per_process=3)
    assert options(execution="thread") is None
    # What the author says outweighs the variables, and the command line both.
    assert options(processes=ProcessOptions(spare_processes=0)) == ProcessOptions(spare_processes=0)
    override({"sessions_per_process": Given(4, COMMAND_LINE), "spare_processes": Given(1, COMMAND_LINE)})
    assert options(processes=ProcessOptions()) == ProcessOptions(sessions_per_process=4, spare_processes=1)
    override({})
    variables.setenv("OPENENV_SPARE_PROCESSES", "many")
    with pytest.raises(ValueError, match="OPENENV_SPARE_PROCESSES must be a whole number"):
        options()
