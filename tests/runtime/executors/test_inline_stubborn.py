"""Environments on the event loop that swallow their cancellation and go on: they hold neither session, slot nor end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from requirements import requirement
from support.scripted_envs import Act, Base, Obs, World, blueprint, reset, seen, step, world_for
from support.servers import bounded
from support.sinks import Notes

from openenv_async.errors import ServerClosing, StepTimeout
from openenv_async.limits import Limits
from openenv_async.runtime.executors import inline, process
from openenv_async.runtime.executors.factory import start_executor
from openenv_async.runtime.registry import Registry

PROCESSES = pytest.mark.parametrize("kind", ["inline", "process", "process packed"])


class Stubborn(Base):
    """Goes on whatever it is told, where it is told to `stay`."""

    async def _stay(self) -> None:
        self.world.journal.note("stays")
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.world.journal.note("swallowed")

    async def reset(self, seed: int | None = None, stay: bool = False) -> Obs:
        self._reset(seed)
        if stay:
            await self._stay()
        return Obs(value=seed)

    async def step(self, action: Act) -> Obs | None:
        if action.do == "deaf":
            self.world.journal.note("stays")
            for _ in range(3):  # what cancels it, what closes it, and what collects it
                try:
                    await asyncio.Event().wait()
                except BaseException:
                    self.world.journal.note("swallowed")
        if action.do == "stay":
            await self._stay()
        return self._step(action)

    async def close(self) -> None:
        self._close()


class StubbornEnd(Stubborn):
    async def close(self) -> None:
        self._close()
        await self._stay()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    return world_for(request.node.callspec.params.get("kind", "inline async"))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "openenv_async")


class House:
    def __init__(self, world: World, kind: str, cls: type[Stubborn] = Stubborn, **limits: Any) -> None:
        made = blueprint(lambda: cls(world), "process" if "process" in kind else None, packed="packed" in kind)
        self.registry = Registry(made, Limits(**{"close_timeout_s": 3.0, "create_timeout_s": 10.0} | limits), 2)

    async def open(self) -> tuple[Any, Notes]:
        notes = Notes()
        session = self.registry.open(notes)
        await notes.until(opened=True)
        return session, notes


@requirement("session:hang-contained", "slot:freed", "close:once")
@PROCESSES
@pytest.mark.parametrize("call", [step("stay", timeout_s=0.1), reset(timeout_s=0.1, stay=True)], ids=["step", "reset"])
async def test_past_its_deadline_it_is_given_up_and_the_slot_is_free(
    kind: str, call: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that is very late is killed, with all that is in it.
    monkeypatch.setattr(process, "BACK_IN_S", 10.0)
    house = House(world, kind)
    beside, others = await house.open()
    session, notes = await house.open()
    session.submit(1, call)
    with pytest.raises(StepTimeout, match="broken") as told:
        await notes.result()
    assert not told.value.session_usable
    await notes.until(over=True)
    beside.submit(1, step(value="alive"))
    assert seen(await others.result()) == "alive"
    assert world.journal.count("swallowed") == 1
    assert world.journal.count("close") == 1, "its environment is closed all the same"
    assert house.registry.active == 1
    beside.close()
    await others.until(over=True)


@requirement("cancel:reaches", "slot:freed")
@PROCESSES
async def test_a_caller_that_goes_does_not_leave_it_with_the_session_for_ever(
    kind: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "CANCELLED_S", 0.1)
    house = House(world, kind)
    session, notes = await house.open()
    session.submit(1, step("stay"))
    await world.journal.until("stays")
    session.cancel(1)
    session.submit(2, step("echo"))
    await notes.until(over=True)
    assert (session.was_broken, notes.results) == (True, [])
    assert (house.registry.active, world.journal.count("close")) == (0, 1)


@requirement("close:client-gone", "slot:freed")
async def test_a_client_that_vanishes_frees_the_slot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "CANCELLED_S", 0.1)
    house = House(world, "inline")
    session, notes = await house.open()
    session.submit(1, step("stay"))
    await world.journal.until("stays")
    session.close()
    await notes.until(over=True)
    assert (house.registry.active, world.journal.count("close")) == (0, 1)


@requirement("close:server-stops")
@pytest.mark.parametrize("do", ["stay", "deaf"])
async def test_a_server_that_stops_ends_it_and_closes_its_environment(do: str, world: World) -> None:
    house = House(world, "inline")
    session, notes = await house.open()
    session.submit(1, step(do))
    await world.journal.until("stays")
    await bounded(house.registry.drain(0.1), 5)
    await notes.until(over=True)
    assert isinstance(notes.error, ServerClosing)
    assert (house.registry.active, world.journal.count("close")) == (0, 1)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("openenv session")] == []


@requirement("slot:freed")
async def test_a_close_that_does_not_end_is_left_and_holds_no_slot(world: World) -> None:
    house = House(world, "inline", StubbornEnd, close_timeout_s=0.1)
    session, notes = await house.open()
    session.close()
    await notes.until(over=True)
    assert (house.registry.active, world.journal.count("close")) == (0, 1)
    assert 1 <= world.journal.count("swallowed")


@requirement("cancel:reaches")
async def test_what_swallows_its_cancellation_and_ends_in_time_is_heard(world: World) -> None:
    """It may tidy up and answer all the same; then nothing is broken."""
    executor = await bounded(start_executor(blueprint(lambda: Stubborn(world)), "s", 10))
    env = world.made[0]

    async def late(action: Act) -> Obs:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        return Obs(value="late")

    env.step = late
    assert seen(await bounded(executor.call(step(timeout_s=0.1)))) == "late"
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1
