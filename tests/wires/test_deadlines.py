"""Which deadline wins, on every wire and wherever the environment runs; and what cancelling reaches."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.play_env import AsyncPlay, Play, PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, serving

from openenv_async import AsyncEnv, Limits, create_app
from openenv_async.errors import FactoryError, SessionBroken, StepTimeout
from openenv_async.server import settings
from openenv_async.server.app import EnvApp
from openenv_async.server.options import COMMAND_LINE, Given

SOON_S = 0.05
LATE_S = 30.0
EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


def app_of(cls: type[Play], journal: Journal, **options: Any) -> EnvApp:
    return create_app(lambda: cls(journal), PlayAction, PlayObservation, "play", state_cls=PlayState, **options)


class Told(Play):
    """Gives back what it is told of the deadline."""

    def step(self, action: PlayAction, timeout_s: float | None = None) -> Any:
        return PlayObservation(value=timeout_s)


class AsyncTold(AsyncPlay):
    async def step(self, action: PlayAction, timeout_s: float | None = None) -> Any:
        return PlayObservation(value=timeout_s)


async def told(url: str, wire: str, timeout_s: float | None) -> float | None:
    """Step over one wire; gives the deadline that reached the environment."""
    if wire == "http":
        async with httpx.AsyncClient(base_url=url) as client:
            session = {"x-session-id": (await client.post("/reset", json={})).headers["x-session-id"]}
            body: dict[str, Any] = {"action": {}} | ({} if timeout_s is None else {"timeout_s": timeout_s})
            answer = await client.post("/step", json=body, headers=session)
            await client.delete("/session", headers=session)
            return _value(answer.json()["observation"]["value"])
    choice: Any = wire
    async with PlayEnv(url, wire=choice) as env:
        await env.reset()
        return _value((await env.step(PlayAction(), timeout_s=timeout_s)).observation.value)


def _value(value: Any) -> float | None:
    return None if value is None else float(value)


@requirement("deadline:which")
@EXECUTIONS
@pytest.mark.parametrize("wire", ["native", "json", "http"])
async def test_the_call_wins_over_the_class_and_the_class_over_the_server(wire: str, execution: str) -> None:
    base = Told if execution == "thread" else AsyncTold
    patient = type("Patient", (base,), {"step_timeout_s": 20.0})
    limits = Limits(step_timeout_s=30.0)
    # OpenEnv's JSON wire has no place for the call's: there it is the client's own affair.
    calls = {"native": 10.0, "json": None, "http": 10.0}[wire]
    for cls, given, options, expected in (
        (base, None, {}, None),
        (base, None, {"limits": limits}, 30.0),
        (patient, None, {"limits": limits}, 20.0),
        (patient, 10.0, {"limits": limits}, calls or 20.0),
        (base, 10.0, {"limits": limits}, calls or 30.0),
        (base, 10.0, {}, calls),
    ):
        async with serving(app_of(cls, Journal(), **options)) as served:
            assert await bounded(told(served.url, wire, given)) == expected


class HangingReset(Play):
    def reset(self, seed: int | None = None, episode_id: str | None = None, op: str = "", start: int = 0) -> Any:
        if op == "hang":
            assert self.journal.gate("reset").wait(10)
        return PlayObservation(total=start)


class AsyncHangingReset(AsyncPlay):
    async def reset(self, seed: int | None = None, episode_id: str | None = None, op: str = "", start: int = 0) -> Any:
        if op == "hang":
            await asyncio.Event().wait()
        return PlayObservation(total=start)


@requirement("deadline:reset")
@EXECUTIONS
@pytest.mark.parametrize("whose", ["call", "class", "server"])
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_a_reset_has_the_same_deadlines(wire: Any, whose: str, execution: str) -> None:
    base = HangingReset if execution == "thread" else AsyncHangingReset
    cls = type("Hasty", (base,), {"step_timeout_s": 0.2}) if whose == "class" else base
    limits = Limits(max_sessions=1, step_timeout_s=0.2 if whose == "server" else None)
    journal = Journal()
    async with serving(app_of(cls, journal, limits=limits)) as served, PlayEnv(served.url, wire=wire) as env:
        with pytest.raises(StepTimeout) as late:
            await bounded(env.reset(op="hang", timeout_s=0.2 if whose == "call" else None))
        on_the_client = wire == "json" and whose == "call"
        assert late.value.session_usable is (execution == "inline" or on_the_client)
        assert late.value.timeout_s == 0.2
        if on_the_client:
            # The server was not told, and a reset that hangs without a deadline there hangs.
            journal.open_gate("reset")
            if execution == "inline":
                return
        assert (await bounded(env.reset(start=4))).observation.total == 4
        journal.open_gate("reset")


@requirement("deadline:reset")
@EXECUTIONS
async def test_a_reset_over_http_that_hangs(execution: str) -> None:
    base = HangingReset if execution == "thread" else AsyncHangingReset
    journal = Journal()
    app = app_of(base, journal, limits=Limits(max_sessions=1, step_timeout_s=0.2))
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await bounded(client.post("/reset", json={"op": "hang"}))
        assert (answer.status_code, answer.json()["code"]) == (504, "TIMEOUT")
        assert answer.json()["session_usable"] is (execution == "inline")
        # The one slot is free again: its session was never named to anybody.
        assert (await bounded(client.post("/reset", json={"start": 4}))).json()["observation"]["total"] == 4
        journal.open_gate("reset")


@requirement("deadline:json")
@EXECUTIONS
async def test_on_the_json_wire_the_calls_deadline_is_the_clients_own(execution: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution)) as served, PlayEnv(served.url, wire="json") as env:
        await env.reset()
        with pytest.raises(StepTimeout, match="its late answer will be passed over, and the next call waits") as late:
            await bounded(env.step(PlayAction(op="wait", n=100), timeout_s=0.2))
        assert (late.value.session_usable, late.value.timeout_s) == (True, 0.2)
        following = asyncio.ensure_future(env.step(PlayAction(n=1)))
        assert not (await asyncio.wait([following], timeout=0.1))[0]
        journal.open_gate("step")
        assert (await bounded(following)).observation.total == 101


@requirement("deadline:told")
@pytest.mark.parametrize("timeout_s", [math.inf, 1e300, 86400.0 * 365 * 1000])
@EXECUTIONS
async def test_a_deadline_that_never_comes_is_none(timeout_s: float, execution: Any) -> None:
    async with serving(play_app(Journal(), execution)) as served, PlayEnv(served.url) as env:
        await bounded(env.reset(timeout_s=timeout_s))
        assert (await bounded(env.step(PlayAction(n=1), timeout_s=timeout_s))).observation.total == 1


@requirement("deadline:told")
@EXECUTIONS
@pytest.mark.parametrize("wrong", [0, -1, math.nan, "soon", True])
async def test_a_class_whose_deadline_makes_no_sense_is_refused_with_the_reason(wrong: Any, execution: Any) -> None:
    base = Play if execution == "thread" else AsyncPlay
    cls = type("Wrong", (base,), {"step_timeout_s": wrong})
    async with serving(app_of(cls, Journal())) as served:
        with pytest.raises(FactoryError, match=r"Wrong.step_timeout_s must be .* above 0"):
            await bounded(PlayEnv.connect(served.url))


@pytest.mark.parametrize("wrong", [math.nan, -1.0])
def test_limits_that_make_no_sense_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="step_timeout_s"):
        Limits(step_timeout_s=wrong)


@requirement("deadline:server")
def test_the_option_wins_over_the_apps_limits_and_those_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    def server_s(**options: Any) -> float | None:
        return app_of(AsyncPlay, Journal(), **options).server.limits.step_timeout_s

    limits = Limits(step_timeout_s=20.0)
    assert server_s() is None
    monkeypatch.setenv("OPENENV_STEP_TIMEOUT", "30")
    assert (server_s(), server_s(limits=limits)) == (30.0, 20.0)
    monkeypatch.setattr(settings, "_overrides", {"step_timeout": Given(10.0, COMMAND_LINE)})
    assert (server_s(), server_s(limits=limits)) == (10.0, 10.0)
    monkeypatch.setattr(settings, "_overrides", {})
    for wrong in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv("OPENENV_STEP_TIMEOUT", wrong)
        with pytest.raises(ValueError, match=rf"OPENENV_STEP_TIMEOUT must be .* above 0, not '{wrong}'"):
            server_s()


async def cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bounded(task)


@requirement("cancel:reaches")
@EXECUTIONS
@pytest.mark.parametrize("where", ["socket", "in process"])
async def test_a_cancelled_call_is_cancelled_where_it_runs(where: str, execution: Any) -> None:
    journal = Journal()
    app = play_app(journal, execution)
    async with serving(app) as served, PlayEnv(served.url if where == "socket" else app) as env:
        await env.reset()
        step = asyncio.ensure_future(env.step(PlayAction(op="wait", n=100)))
        await journal.until("waiting")
        await cancel(step)
        following = asyncio.ensure_future(env.step(PlayAction(n=1)))
        if execution == "thread":
            # It runs to its end, and the next call waits for it.
            assert not (await asyncio.wait([following], timeout=0.1))[0]
            journal.open_gate("step")
        assert (await bounded(following)).observation.total == (101 if execution == "thread" else 1)
        assert journal.count("went on") == (1 if execution == "thread" else 0)


@requirement("cancel:reaches", "deadline:told")
async def test_a_call_that_waits_behind_a_cancelled_one_has_its_own_deadline() -> None:
    journal = Journal()
    async with serving(play_app(journal, "thread")) as served:
        async with PlayEnv(served.url) as env, PlayEnv(served.url) as neighbour:
            await env.reset()
            step = asyncio.ensure_future(env.step(PlayAction(op="wait", n=100)))
            await journal.until("waiting")
            await cancel(step)
            # It is never begun, so it says nothing of the environment: the session can go on.
            with pytest.raises(StepTimeout) as late:
                await bounded(env.step(PlayAction(n=10), timeout_s=SOON_S))
            assert late.value.session_usable is True
            await neighbour.reset()  # on the same connection, so that the server has read the cancellation
            journal.open_gate("step")
            assert (await bounded(env.step(PlayAction(n=1)))).observation.total == 101


@requirement("deadline:told")
async def test_a_broken_session_says_how_to_go_on_until_it_does() -> None:
    journal = Journal()
    async with serving(play_app(journal, "thread")) as served, PlayEnv(served.url) as env:
        await env.reset()
        with pytest.raises(StepTimeout, match=r"the session is broken: call reset\(\) for a fresh environment"):
            await bounded(env.step(PlayAction(op="wait"), timeout_s=SOON_S))
        with pytest.raises(SessionBroken, match=r"call reset\(\)"):
            await env.state()
        journal.open_gate("step")
        assert (await bounded(env.reset(start=1))).observation.total == 1
