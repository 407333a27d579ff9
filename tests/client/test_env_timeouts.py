"""Deadlines: whose they are, what passing one costs, and who says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from requirements import requirement
from support.play_env import AsyncPlay, Play, PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, serving

from openenv_async import AsyncEnv, Limits, create_app
from openenv_async.errors import SessionBroken, StepTimeout
from openenv_async.server.app import EnvApp

WIRES = pytest.mark.parametrize("wire", ["native", "json"])
SOON_S = 0.05


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


def app_of(cls: type[Play], journal: Journal, **options: Any) -> EnvApp:
    return create_app(lambda: cls(journal), PlayAction, PlayObservation, "play", state_cls=PlayState, **options)


@requirement("session:hang-contained", "client:deadlines")
async def test_an_async_step_past_its_deadline_is_cancelled_and_the_session_goes_on() -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served, PlayEnv(served.url) as env:
        await env.reset()
        with pytest.raises(StepTimeout, match=r"step\(\) did not finish within 0.05 s and was cancelled") as timeout:
            await bounded(env.step(PlayAction(op="wait", n=5), timeout_s=SOON_S))
        assert isinstance(timeout.value, TimeoutError)
        assert timeout.value.session_usable is True
        assert timeout.value.timeout_s == SOON_S
        assert (await env.step(PlayAction(n=1))).observation.total == 1
        assert journal.count("went on") == 0


@requirement("session:hang-contained", "slot:freed", "close:once", "client:deadlines")
async def test_a_hung_thread_costs_its_own_session_only() -> None:
    journal = Journal()
    limits = Limits(max_sessions=2)
    async with serving(play_app(journal, "thread", limits=limits)) as served:
        async with PlayEnv(served.url) as env, PlayEnv(served.url) as neighbour:
            await neighbour.reset()
            await env.reset()
            first = env.session_id
            with pytest.raises(StepTimeout, match="cannot be stopped, so the session is broken") as timeout:
                await bounded(env.step(PlayAction(op="wait"), timeout_s=SOON_S))
            assert timeout.value.session_usable is False
            for _ in range(2):
                with pytest.raises(SessionBroken, match=r"call reset\(\)"):
                    await env.step(PlayAction(n=1))
                with pytest.raises(SessionBroken, match=r"call reset\(\)"):
                    await env.state()
            # The slot is free although the thread still hangs: reset gets it, and it works.
            assert (await bounded(env.reset(start=3))).observation.total == 3
            assert env.session_id != first
            assert (await env.step(PlayAction(n=1))).observation.total == 4
            assert (await neighbour.step(PlayAction(n=1))).observation.total == 1
            assert journal.count("closed") == 0
            journal.open_gate("step")
            await journal.until("closed")  # where the call ended at last
    assert (journal.count("built"), journal.count("closed")) == (3, 3)


@requirement("session:hang-contained")
@WIRES
async def test_the_environments_own_deadline_holds_when_the_caller_names_none(wire: Any) -> None:
    class Hasty(AsyncPlay):
        step_timeout_s = SOON_S

    journal = Journal()
    async with serving(app_of(Hasty, journal)) as served, PlayEnv(served.url, wire=wire) as env:
        await env.reset()
        with pytest.raises(StepTimeout, match="was cancelled") as timeout:
            await bounded(env.step(PlayAction(op="wait")))
        assert timeout.value.session_usable is True
        assert (await env.step(PlayAction(n=2))).observation.total == 2


@requirement("session:hang-contained", "slot:freed")
@WIRES
async def test_the_servers_deadline_breaks_a_hung_thread_and_reset_mends_it(wire: Any) -> None:
    journal = Journal()
    limits = Limits(max_sessions=1, step_timeout_s=0.6)
    async with serving(play_app(journal, "thread", limits=limits)) as served:
        async with PlayEnv(served.url, wire=wire) as env:
            await env.reset()
            with pytest.raises(StepTimeout) as timeout:
                await bounded(env.step(PlayAction(op="wait")))
            assert timeout.value.session_usable is False
            with pytest.raises(SessionBroken):
                await env.step(PlayAction(n=1))
            with pytest.raises(SessionBroken):
                await env.state()
            assert (await bounded(env.reset(start=2))).observation.total == 2
            assert (await env.step(PlayAction(n=1))).observation.total == 3
            journal.open_gate("step")
            await journal.until("closed")
    assert (journal.count("built"), journal.count("closed")) == (2, 2)


@requirement("session:hang-contained", "step:no-mispairing")
@WIRES
async def test_the_clients_own_patience(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, "thread")) as served:
        async with PlayEnv(served.url, wire=wire, message_timeout_s=0.6) as env:
            await env.reset()
            with pytest.raises(StepTimeout, match="no answer .*within 0.6 s") as timeout:
                await bounded(env.step(PlayAction(op="wait", n=100)))
            assert timeout.value.session_usable is True
            journal.open_gate("step")
            await journal.until("went on")
            # The step that nobody waited for was made, once; its answer is nobody's.
            assert (await bounded(env.step(PlayAction(n=1)))).observation.total == 101
            assert (await env.state()).step_count == 2


@requirement("client:deadlines")
async def test_the_deadline_reaches_a_step_that_asks_for_it() -> None:
    class Asking(AsyncPlay):
        async def step(self, action: PlayAction, timeout_s: float | None = None) -> Any:
            return PlayObservation(value=timeout_s)

    async with serving(app_of(Asking, Journal())) as served, PlayEnv(served.url) as env:
        await env.reset()
        assert (await env.step(PlayAction(), timeout_s=7.5)).observation.value == 7.5
        assert (await env.step(PlayAction())).observation.value is None


@requirement("session:hang-contained", "client:deadlines")
async def test_a_reset_that_hangs() -> None:
    class Slow(AsyncPlay):
        async def reset(
            self, seed: int | None = None, episode_id: str | None = None, op: str = "", start: int = 0
        ) -> Any:
            if op == "hang":
                await asyncio.Event().wait()
            return PlayObservation()

    async with serving(app_of(Slow, Journal())) as served, PlayEnv(served.url) as env:
        with pytest.raises(StepTimeout, match=r"reset\(\) did not finish"):
            await bounded(env.reset(op="hang", timeout_s=SOON_S))
        assert (await env.reset(timeout_s=5)).observation.total == 0


@requirement("session:hang-contained", "slot:freed")
async def test_a_state_that_hangs_in_a_thread_breaks_the_session() -> None:
    class Locked(Play):
        @property
        def state(self) -> PlayState:
            self.journal.note("waiting")
            self.journal.gate("state").wait(10)
            return PlayState()

    journal = Journal()
    limits = Limits(max_sessions=1, state_timeout_s=SOON_S)
    async with serving(app_of(Locked, journal, limits=limits)) as served, PlayEnv(served.url) as env:
        await env.reset()
        with pytest.raises(StepTimeout) as timeout:
            await bounded(env.state())
        assert timeout.value.session_usable is False
        with pytest.raises(SessionBroken):
            await env.step(PlayAction())
        assert (await bounded(env.reset(start=9))).observation.total == 9
        journal.open_gate("state")
        await journal.until("closed")


@requirement("session:hang-contained", "close:once")
async def test_a_factory_that_hangs_gives_up_in_time() -> None:
    from openenv_async.errors import FactoryError

    journal = Journal()

    def slow() -> Play:
        journal.note("building")
        assert journal.gate("factory").wait(10)
        return Play(journal)

    limits = Limits(max_sessions=1, create_timeout_s=SOON_S)
    async with serving(create_app(slow, PlayAction, PlayObservation, limits=limits)) as served:
        with pytest.raises(FactoryError, match="'slow' did not finish within 0.05 s"):
            await bounded(PlayEnv.connect(served.url))
        with pytest.raises(FactoryError):  # the slot was free again
            await bounded(PlayEnv.connect(served.url))
        journal.open_gate("factory")
        await journal.until("closed", 2)  # what was built in the end is not left behind
    assert (journal.count("built"), journal.count("closed")) == (2, 2)
