"""The rules of use: each wrong call raises its own error, with a sentence, and breaks nothing."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from requirements import requirement
from support.play_env import AsyncPlay, PlayAction, PlayObservation, PlayState, play_app
from support.servers import BOUND_S, Journal, bounded, serving

from openenv_async import AsyncEnv, Environment, Observation, State, StepResult
from openenv_async.errors import (
    ClientClosed,
    ConnectFailed,
    NotConnected,
    NotReset,
    SessionBusy,
    SessionLost,
    UsageError,
    WrongLoop,
)

WIRES = pytest.mark.parametrize("wire", ["native", "json"])


class AsyncPlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


@requirement("client:before-connect")
async def test_calls_before_connect() -> None:
    env = AsyncPlayEnv("http://127.0.0.1:9")
    for call, name in ((env.reset, "reset"), (env.state, "state")):
        with pytest.raises(
            NotConnected, match=rf"{name}\(\) came before connect\(\); use `async with` or await AsyncP"
        ):
            await call()
    with pytest.raises(NotConnected, match=r"step\(\) came before connect"):
        await env.step(PlayAction())
    assert not env.connected
    assert env.session_id is None
    await env.close()


@requirement("client:before-reset")
@WIRES
async def test_a_step_before_the_first_reset(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, AsyncPlayEnv(served.url, wire=wire) as env:
        with pytest.raises(NotReset, match=r"step\(\) came before the first reset\(\); await reset\(\)"):
            await env.step(PlayAction())
        assert (await env.state()).step_count == 0  # reading it is allowed, as in OpenEnv
        await env.reset()
        assert (await env.step(PlayAction(n=2))).observation.total == 2


@requirement("client:two-at-once")
@WIRES
async def test_two_calls_at_once_on_one_session(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served, AsyncPlayEnv(served.url, wire=wire) as env:
        await env.reset()
        first = asyncio.create_task(env.step(PlayAction(op="wait", n=5)))
        await journal.until("waiting")
        for call, name in ((env.reset, "reset"), (env.state, "state")):
            with pytest.raises(SessionBusy, match=rf"{name}\(\) came while another call .* one AsyncPlayEnv per"):
                await call()
        with pytest.raises(SessionBusy):
            await env.step(PlayAction())
        journal.open_gate("step")
        assert (await bounded(first)).observation.total == 5
        assert (await env.step(PlayAction(n=1))).observation.total == 6


@requirement("client:two-at-once")
async def test_connecting_twice_at_once_opens_one_session() -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served:
        env = AsyncPlayEnv(served.url)
        outcomes = await bounded(asyncio.gather(env.connect(), env.connect(), env.reset(), return_exceptions=True))
        assert [type(outcome) for outcome in outcomes] == [AsyncPlayEnv, SessionBusy, SessionBusy]
        await env.connect()  # there is one: nothing happens
        assert journal.count("built") == 1
        await env.close()


@requirement("client:after-close")
@WIRES
async def test_calls_after_close(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served:
        env = await AsyncPlayEnv.connect(served.url, wire=wire)
        await env.reset()
        await env.close()
        await env.close()
        assert journal.count("closed") == 1
        assert not env.connected
        for call in (env.reset, env.state):
            with pytest.raises(ClientClosed, match=r"came after close\(\); make a new AsyncPlayEnv"):
                await call()
        with pytest.raises(ClientClosed):
            await env.step(PlayAction())
        with pytest.raises(ClientClosed):
            await env.connect()


@requirement("client:after-close")
@WIRES
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_closing_during_a_call_ends_the_call(wire: Any, execution: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution)) as served:
        env = await AsyncPlayEnv.connect(served.url, wire=wire)
        await env.reset()
        call = asyncio.create_task(env.step(PlayAction(op="wait")))
        await journal.until("waiting")
        closing = asyncio.create_task(env.close())
        if execution == "thread":
            await asyncio.wait([closing], timeout=0)
            journal.open_gate("step")
        await bounded(closing)
        outcome = (await bounded(asyncio.gather(call, return_exceptions=True)))[0]
        if execution == "inline":
            assert isinstance(outcome, SessionLost)
            assert "closed" in str(outcome)
        else:  # its answer may have come before the close
            assert isinstance(outcome, (SessionLost, StepResult))
        await journal.until("closed")
        assert journal.count("closed") == 1


@requirement("client:after-close")
async def test_closing_while_connecting() -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served:
        env = AsyncPlayEnv(served.url)
        connecting = asyncio.ensure_future(env.connect())
        await asyncio.wait([connecting], timeout=0)
        await env.close()
        with pytest.raises(ClientClosed):
            await bounded(connecting)
        await journal.until("closed")
        assert journal.count("built") == journal.count("closed")


@requirement("client:other-loop")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
@WIRES
async def test_use_from_another_loop(wire: Any) -> None:
    journal = Journal()

    def elsewhere(env: AsyncPlayEnv) -> list[BaseException | object]:
        async def calls() -> list[BaseException | object]:
            step = env.step(PlayAction())
            return list(await asyncio.gather(env.reset(), step, env.state(), env.close(), return_exceptions=True))

        return asyncio.run(calls())

    async with serving(play_app(journal)) as served, AsyncPlayEnv(served.url, wire=wire) as env:
        await env.reset()
        for outcome in await bounded(asyncio.to_thread(elsewhere, env)):
            assert isinstance(outcome, WrongLoop)
            assert "was connected in another event loop" in str(outcome)
        assert (await env.step(PlayAction(n=3))).observation.total == 3
    assert journal.count("closed") == 1


@requirement("client:other-loop")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_a_client_of_a_loop_that_has_ended_can_be_closed() -> None:
    def past() -> AsyncPlayEnv:
        return asyncio.run(_connected_in_process())

    env = await bounded(asyncio.to_thread(past))
    with pytest.raises(WrongLoop):
        await env.reset()
    await env.close()
    with pytest.raises(ClientClosed):
        await env.reset()


async def _connected_in_process() -> AsyncPlayEnv:
    return await AsyncPlayEnv.connect(play_app(Journal()))


@requirement("client:deadlines")
@WIRES
@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan")])
async def test_a_deadline_that_makes_no_sense(wire: Any, timeout_s: float) -> None:
    async with AsyncPlayEnv(play_app(Journal()), wire=wire) as env:
        with pytest.raises(ValueError, match="timeout_s must be above 0"):
            await env.reset(timeout_s=timeout_s)
        await env.reset()
        with pytest.raises(ValueError, match="timeout_s must be above 0"):
            await env.step(PlayAction(), timeout_s=timeout_s)
        assert (await env.step(PlayAction(n=1), timeout_s=5)).observation.total == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"connect_timeout_s": 0}, "connect_timeout_s"),
        ({"message_timeout_s": float("nan")}, "message_timeout_s"),
        ({"max_message_size_mb": -1}, "max_message_size_mb"),
        ({"wire": "morse"}, "wire"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        AsyncEnv[Any, Any, Any]("http://127.0.0.1:1", **options)


def test_no_address_and_no_provider() -> None:
    with pytest.raises(ValueError, match="AsyncPlayEnv needs base_url="):
        AsyncPlayEnv()


@pytest.mark.parametrize("target", ["ftp://x", "http://", "unix:relative", 7, AsyncPlay(Journal())])
def test_targets_that_are_none(target: Any) -> None:
    with pytest.raises(UsageError):
        AsyncPlayEnv(target)


class Nameless(Environment[Any, Observation, State]):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Observation:
        return Observation()

    def step(self, action: Any) -> Observation:
        return Observation()

    @property
    def state(self) -> State:
        return State()


@requirement("nothing-dropped:seed")
async def test_reset_arguments_are_refused_by_name_and_ignored_seeds_are_told() -> None:
    class NoSeed(Nameless):
        def reset(self) -> Observation:  # type: ignore[override]
            return Observation()

    async with AsyncEnv[Any, Any, Any](NoSeed) as env:
        with pytest.warns(UserWarning, match="ignores seed") as caught:
            result = await env.reset(seed=3)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert result.warnings == ("the environment ignores seed: its reset() takes no such argument",)
        assert (await env.reset()).warnings == ()


@requirement("client:unclosed")
@WIRES
async def test_a_client_that_nobody_closed_warns_and_frees_its_slot(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=1)) as served:
        env = await AsyncPlayEnv.connect(served.url, wire=wire)
        await env.reset()
        with pytest.warns(ResourceWarning, match="AsyncPlayEnv .*was not closed; use `async with` or await close"):
            del env
            gc.collect()
        await journal.until("closed")
        async with AsyncPlayEnv(served.url) as env:
            await env.reset()
    assert journal.count("closed") == 2


@requirement("client:connect-failed")
async def test_nothing_listens() -> None:
    import socket

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectFailed, match="is an environment server running there") as failed:
            await bounded(AsyncPlayEnv.connect(url), BOUND_S)
        assert failed.value.retryable
        env = AsyncPlayEnv(url)
        with pytest.raises(ConnectFailed):
            await env.connect()
        with pytest.raises(NotConnected, match=r"last connect\(\) failed"):
            await env.step(PlayAction())
        await env.close()
