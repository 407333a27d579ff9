"""What a process that dies costs, and what it does not: each way to die, and who is told what."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from requirements import requirement
from support.risky_env import (
    AsyncRisky,
    Risky,
    RiskyAction,
    RiskyObservation,
    nothing_left,
    playing,
    risky_app,
    running,
)
from support.servers import bounded
from support.shared_journal import SharedJournal, gone, until

from openenv_async import create_app
from openenv_async.errors import EnvironmentCrashed, EnvironmentFailed, FactoryError, SessionBroken, StepTimeout
from openenv_async.limits import Limits

BOTH = pytest.mark.parametrize("cls", [Risky, AsyncRisky])

DEATHS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "exit": ({"do": "exit", "value": 3}, {"exit_code": 3}),
    "exit 0": ({"do": "exit"}, {"exit_code": 0}),
    "segfault": ({"do": "segfault"}, {"signal": "SIGSEGV"}),
    "abort": ({"do": "kill", "value": int(signal.SIGABRT)}, {"signal": "SIGABRT"}),
    "oom killer": ({"do": "kill", "value": int(signal.SIGKILL)}, {"signal": "SIGKILL"}),
}


@requirement("process:crash", "process:no-orphans", "slot:freed")
@BOTH
@pytest.mark.parametrize("death", DEATHS)
async def test_a_process_that_dies_in_a_step_costs_its_own_episode(cls: type[Risky], death: str) -> None:
    action, details = DEATHS[death]
    async with nothing_left(), running(risky_app(cls)) as app, playing(app, 2) as (client, neighbour):
        with pytest.raises(EnvironmentCrashed) as caught:
            await bounded(client.step(action))
        assert caught.value.details.items() >= details.items()
        assert next(iter(details)) == "signal" or "exited with code" in str(caught.value)
        with pytest.raises(SessionBroken):
            await bounded(client.step({}))
        assert (await bounded(neighbour.step({}))).observation["count"] == 1
        again = await bounded(client.reset())
        assert (await bounded(client.step({}))).observation["count"] == 1
        assert again.observation["pid"] != os.getpid()


@requirement("process:crash")
async def test_the_last_lines_of_stderr_reach_the_caller_without_paths(capfd: pytest.CaptureFixture[str]) -> None:
    async with running(risky_app()) as app, playing(app) as (client,):
        with pytest.raises(EnvironmentCrashed) as caught:
            await bounded(client.step({"do": "print and exit", "value": 1}))
    lines = caught.value.stderr.splitlines()
    assert lines == [f"line {number} of file.py" for number in range(10, 30)]
    written = capfd.readouterr().err
    assert all(f"line {number} of /home/somebody/secret/file.py" in written for number in range(30))


@requirement("process:crash")
async def test_a_segfault_says_so_and_shows_no_traceback_to_peers(capfd: pytest.CaptureFixture[str]) -> None:
    async with running(risky_app()) as app, playing(app) as (client,):
        with pytest.raises(EnvironmentCrashed, match="Segmentation fault") as caught:
            await bounded(client.step({"do": "segfault"}))
    assert "risky_env" not in caught.value.stderr
    assert "risky_env.py" in capfd.readouterr().err


async def test_with_debug_the_caller_sees_the_traceback() -> None:
    app = create_app(Risky, RiskyAction, RiskyObservation, execution="process", debug=True)
    async with running(app), playing(app) as (client,):
        with pytest.raises(EnvironmentCrashed) as caught:
            await bounded(client.step({"do": "segfault"}))
    assert "risky_env.py" in caught.value.stderr


@requirement("process:hang", "session:hang-contained", "process:no-orphans", "slot:freed")
@pytest.mark.parametrize("deed", ["sleep", "spin"])
@BOTH
async def test_a_call_past_its_deadline_ends_its_process(cls: type[Risky], deed: str) -> None:
    async with nothing_left(), running(risky_app(cls)) as app, playing(app, 2) as (client, neighbour):
        pid = (await client.step({})).observation["pid"]
        with pytest.raises(StepTimeout) as caught:
            await bounded(client.step({"do": deed}, timeout_s=0.1))
        assert caught.value.session_usable is False
        await gone([pid])
        await until(lambda: app.server.registry.active == 1, "the slot is held")
        assert (await bounded(client.reset())).observation["pid"] != pid
        assert (await bounded(neighbour.step({}))).observation["count"] == 1


@requirement("process:async-deadline")
async def test_an_async_call_past_its_deadline_is_cancelled_and_the_session_goes_on() -> None:
    journal = SharedJournal()
    async with running(risky_app(lambda: AsyncRisky(journal))) as app, playing(app) as (client,):
        with pytest.raises(StepTimeout) as caught:
            await bounded(client.step({"do": "await"}, timeout_s=0.1))
        assert caught.value.session_usable is True
        assert (await bounded(client.step({}))).observation["count"] == 1
        # A caller who goes away cancels it too.
        call = asyncio.ensure_future(client.step({"do": "await"}))
        await journal.until("waiting", 2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await bounded(client.step({}))).observation["count"] == 2
    assert journal.count("closed") == journal.count("built") == 1


@requirement("process:crash")
@BOTH
async def test_a_process_that_is_killed_between_two_calls(cls: type[Risky], caplog: pytest.LogCaptureFixture) -> None:
    async with nothing_left(), running(risky_app(cls)) as app, playing(app) as (client,):
        pid = (await client.step({})).observation["pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EnvironmentCrashed) as caught:
            await bounded(client.step({}))
        assert caught.value.signal == "SIGKILL"
        assert "was ended by SIGKILL" in caplog.text
        assert (await bounded(client.reset())).observation["pid"] != pid


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize(("deed", "words"), [("exit", "exited with code 7"), ("segfault", "SIGSEGV")])
async def test_a_factory_that_ends_its_process_is_a_factory_error(deed: str, words: str, sessions: int) -> None:
    app = risky_app(lambda: Risky(build=deed, value=7), sessions_per_process=sessions)
    async with nothing_left(), running(app):
        for _ in range(3):
            with pytest.raises(FactoryError, match=words):
                async with playing(app):
                    pass
        assert app.server.registry.active == 0


async def test_a_factory_that_hangs_is_ended_with_its_process() -> None:
    app = risky_app(lambda: Risky(build="sleep"), Limits(create_timeout_s=0.2))
    async with nothing_left(), running(app):
        with pytest.raises(FactoryError, match=r"did not finish within 0\.2 s"):
            async with playing(app):
                pass


@requirement("process:no-orphans", "slot:freed")
@BOTH
async def test_a_close_that_hangs_is_ended_with_its_process(cls: type[Risky], caplog: pytest.LogCaptureFixture) -> None:
    class Clinging(cls):  # type: ignore[valid-type, misc]
        def _note(self, what: str) -> None:
            if what == "closed":
                time.sleep(600)

    app = risky_app(Clinging, Limits(close_timeout_s=0.2))
    async with nothing_left(), running(app), playing(app) as (client,):
        pid = (await client.step({})).observation["pid"]
        await bounded(client.close())
        await gone([pid])
        await until(lambda: app.server.registry.active == 0, "the slot is held")
    assert "did not finish within 0.2 s" in caplog.text


@requirement("session:crash-contained", "process:crash")
async def test_what_an_environment_raises_is_no_crash() -> None:
    async with running(risky_app()) as app, playing(app) as (client,):
        pid = (await client.step({})).observation["pid"]
        with pytest.raises(EnvironmentFailed, match="SystemExit"):
            await bounded(client.step({"do": "sys.exit", "value": 3}))
        assert (await bounded(client.step({}))).observation["pid"] == pid


@requirement("process:no-orphans")
async def test_what_a_process_started_ends_with_it() -> None:
    async with nothing_left(), running(risky_app()) as app, playing(app) as (client,):
        pids = [
            (await client.step({"do": "grandchild"})).observation["value"],
            (await client.step({"do": "grandchild", "value": {"start_new_session": True}})).observation["value"],
            (await client.step({"do": "daemon"})).observation["value"],
        ]
        await client.reset()
        with pytest.raises(EnvironmentCrashed):
            await bounded(client.step({"do": "kill", "value": int(signal.SIGKILL)}))
        await gone(pids)
        await client.reset()
        more = (await client.step({"do": "daemon"})).observation["value"]
        await client.close()
        await gone([more])
