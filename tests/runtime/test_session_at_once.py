"""Calls that are done in the turn in which they arrive: an async environment cannot tell them from any other."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from support.servers import bounded, serving

from openenv_async import Action, AsyncEnv, Environment, Observation, State, create_app
from openenv_async.errors import EnvironmentFailed, StepTimeout
from openenv_async.runtime.calls import Call, Wire
from openenv_async.runtime.session import Session

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


class Do(Action):
    what: str = "nothing"


class Seen(Observation):
    task: str = ""
    who: str = ""
    value: Any = None


class Curious(Environment[Do, Seen, State]):
    """Looks around itself at each step, and waits only where it is told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.cancelled = 0
        GATES.append(self)

    async def reset(self, seed: int | None = None, episode_id: str | None = None, who: str = "") -> Seen:
        WHO.set(who)
        return self.look()

    async def step(self, action: Do) -> Seen:
        match action.what:
            case "yield":
                await asyncio.sleep(0)
            case "wait":
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
            case "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await self.gate.wait()
            case "group":
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
                return self.look([task.result() for task in tasks])
            case "raise later":
                await asyncio.sleep(0)
                raise ValueError("later")
            case "cancelled":
                raise asyncio.CancelledError
        return self.look()

    def look(self, value: Any = None) -> Seen:
        task = asyncio.current_task()
        assert task is not None
        return Seen(task=task.get_name(), who=WHO.get(), value=value)

    @property
    def state(self) -> State:
        return State()


GATES: list[Curious] = []


@pytest.fixture(params=["socket", "in process"])
def target(request: pytest.FixtureRequest) -> str:
    GATES.clear()
    return str(request.param)


async def test_every_call_is_made_as_the_sessions_own_task_and_in_its_context(target: str) -> None:
    app = create_app(Curious, Do, Seen)
    async with serving(app) as served:
        url = served.url if target == "socket" else app
        async with AsyncEnv(url) as one, AsyncEnv(url) as two:
            assert (await one.reset(who="one")).observation["who"] == "one"
            assert (await two.reset(who="two")).observation["who"] == "two"
            seen = [
                (await env.step({"what": what})).observation
                for what in ("nothing", "yield", "group", "nothing", "timeout", "nothing")
                for env in (one, two)
            ]
            assert [found["who"] for found in seen] == ["one", "two"] * 6
            assert {found["task"] for found in seen[::2]} == {f"openenv session {one.session_id}"}
            assert {found["task"] for found in seen[1::2]} == {f"openenv session {two.session_id}"}
            assert seen[4]["value"] == [0, 1, 2]


async def test_errors_of_both_kinds_leave_the_session_alive(target: str) -> None:
    app = create_app(Curious, Do, Seen)
    async with serving(app) as served, AsyncEnv(served.url if target == "socket" else app) as env:
        await env.reset()
        for what, kind in (("raise later", "ValueError"), ("cancelled", "CancelledError")) * 2:
            with pytest.raises(EnvironmentFailed) as caught:
                await env.step({"what": what})
            assert caught.value.details["exception_type"] == kind
            await env.step({})


async def test_a_call_that_waits_is_cancelled_and_timed_out_like_any_other(target: str) -> None:
    app = create_app(Curious, Do, Seen)
    async with serving(app) as served, AsyncEnv(served.url if target == "socket" else app) as env:
        await env.reset()
        with pytest.raises(StepTimeout) as caught:
            await env.step({"what": "wait"}, timeout_s=0.05)
        assert caught.value.details["session_usable"]
        assert GATES[0].cancelled == 1
        call = asyncio.ensure_future(env.step({"what": "wait"}))
        await asyncio.wait([call], timeout=0.05)
        call.cancel()
        await asyncio.wait([call])
        await bounded(env.step({}))
        assert GATES[0].cancelled == 2


async def test_a_call_cancelled_before_its_task_went_on_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Curious, Do, Seen)
    async with AsyncEnv(app) as env:
        await env.reset()
        session = next(iter(app.server.registry.sessions.values()))
        outcomes: list[Any] = []
        heard = asyncio.Event()
        deliver = session.sink.deliver

        def listen(session: Session, rid: int, outcome: Any) -> Any:
            outcomes.append(rid)
            heard.set()
            return deliver(session, rid, outcome)

        monkeypatch.setattr(session.sink, "deliver", listen)
        session.submit(1000, Call("step", b"\x81\xa4what\xa4wait", Wire.NATIVE))
        session.cancel(1000)  # in the very turn in which it began
        session.submit(1001, Call("step", b"\x80", Wire.NATIVE))
        await bounded(heard.wait())
        assert outcomes == [1001]
        assert GATES[-1].cancelled == 1


async def test_a_session_closed_before_its_task_went_on_closes_its_environment_once() -> None:
    closed: list[Curious] = []

    class Closing(Curious):
        async def close(self) -> None:
            closed.append(self)

    app = create_app(Closing, Do, Seen)
    async with AsyncEnv(app) as env:
        await env.reset()
        session = next(iter(app.server.registry.sessions.values()))
        session.submit(1000, Call("step", b"\x81\xa4what\xa4wait", Wire.NATIVE))
        session.close()
        assert session.task is not None
        await bounded(asyncio.wait([session.task]))
        assert len(closed) == 1
        assert app.server.registry.active == 0
