"""What is started over, what never is, and what the trainer is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from requirements import requirement
from support.failing_server import failing_server
from support.play_env import AsyncPlay, PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, serving

from openenv_async import AsyncEnv, Limits, create_app, errors
from openenv_async.client import episodes
from openenv_async.errors import (
    CapacityError,
    ConnectFailed,
    EnvError,
    EnvironmentFailed,
    FactoryError,
    InvalidPayload,
    ServerClosing,
    SessionBroken,
    SessionLost,
    StepTimeout,
)

SOON_S = 0.05


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


class Env(AsyncEnv[Any, Any, Any]):
    pass


def end(seen: Any) -> PlayAction:
    return PlayAction(op="end", n=1)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "FIRST_PAUSE_S", 0.01)


def tree(base: type[EnvError]) -> list[type[EnvError]]:
    children = [cls for cls in base.__subclasses__() if cls.__module__ == errors.__name__]
    return [base, *(found for child in children for found in tree(child))]


BY_CODE = {cls.code: cls for cls in reversed(tree(EnvError))}


@requirement("episode:started-over", "episode:task-failure")
@pytest.mark.parametrize("when", ["reset", "step"])
@pytest.mark.parametrize("code", sorted(BY_CODE))
async def test_every_code_is_started_over_or_not_by_its_fault(code: str, when: str) -> None:
    cls = BY_CODE[code]
    async with failing_server(when, code, {}) as (url, begun), Env(url) as env:
        playing = env.run_episode(lambda seen: {}, retries=2)
        if cls.fault == "task":
            with pytest.raises(EnvError) as failed:
                await bounded(playing)
            assert (failed.value.code, len(begun)) == (code, 1)
            return
        episode = await bounded(playing)
        # A reset may always open another session in place of one that was lost; no attempt is lost with it.
        mended = when == "reset" and cls in (SessionLost, SessionBroken, ServerClosing)
        assert [failure.code for failure in episode.failures] == ([] if mended else [code])
        assert (episode.length, len(begun)) == (2, 2)
        assert len(set(begun)) == 2, "it went on in the session that failed"


@requirement("episode:started-over", "errors:of-tomorrow")
@pytest.mark.parametrize("fault", ["task", "infrastructure"])
async def test_the_servers_word_on_the_fault_counts_for_codes_of_tomorrow(fault: str) -> None:
    details = {"fault": fault, "retryable": True, "cups": 0}
    async with failing_server("step", "OUT_OF_TEA", details) as (url, begun), Env(url) as env:
        playing = env.run_episode(lambda seen: {}, retries=1)
        if fault == "infrastructure":
            failure = (await bounded(playing)).failures[0]
        else:
            with pytest.raises(EnvError) as failed:
                await bounded(playing)
            failure = failed.value
        assert (failure.code, failure.fault, failure.retryable, failure.details["cups"]) == (
            "OUT_OF_TEA",
            fault,
            True,
            0,
        )
        assert "OUT_OF_TEA" in str(failure)
        assert len(begun) == (2 if fault == "infrastructure" else 1)


@contextlib.asynccontextmanager
async def playing_on(journal: Journal, execution: Any = "thread", **limits: Any) -> AsyncIterator[PlayEnv]:
    async with serving(play_app(journal, execution, limits=Limits(**limits))) as served:
        async with PlayEnv(served.url) as env:
            yield env
            journal.open_gate("step")


@requirement("episode:started-over")
@pytest.mark.parametrize("execution", ["thread", "inline"])
async def test_a_hung_step_costs_one_attempt(execution: Any, caplog: pytest.LogCaptureFixture) -> None:
    journal, hang = Journal(), iter([True, False])

    def policy(seen: PlayObservation) -> PlayAction:
        if seen.total == 0:
            return PlayAction(op="add", n=1)
        return PlayAction(op="wait" if next(hang) else "end", n=1)

    async with playing_on(journal, execution) as env:
        first = env.session_id
        with caplog.at_level(logging.WARNING, "openenv_async"):
            episode = await bounded(env.run_episode(policy, seed=3, retries=3, timeout_s=0.2))
        assert env.session_id != first
        assert isinstance(episode.failures[0], StepTimeout)
        # Nothing of the first attempt is in the result, and both began with the same seed.
        assert (episode.attempts, [seen.total for seen in episode.observations]) == (2, [0, 1, 2])
        assert (episode.first.observation.value, episode.done) == (3, True)
        assert f"the episode of session {first} begins again" in caplog.text
        assert "attempt 2 of 4, because of StepTimeout" in caplog.text
        there_and_back = pickle.loads(pickle.dumps(episode))
        assert there_and_back.results == episode.results
        assert str(there_and_back.failures[0]) == str(episode.failures[0])
        journal.open_gate("step")
    await journal.until("closed", 2)
    assert (journal.count("built"), journal.count("closed")) == (2, 2)


@requirement("episode:task-failure")
async def test_what_the_environment_raises_is_the_tasks_own_and_the_session_lives() -> None:
    too_much: Any = lambda seen: {"n": 5000}  # noqa: E731
    journal = Journal()
    async with playing_on(journal) as env:
        first = env.session_id
        with pytest.raises(EnvironmentFailed, match="the pot is empty"):
            await bounded(env.run_episode(lambda seen: PlayAction(op="raise"), retries=5))
        with pytest.raises(InvalidPayload, match="n is more than 1000"):
            await bounded(env.run_episode(too_much, retries=5))
        assert (await env.step(PlayAction(n=1))).observation.total == 1
        assert env.session_id == first
    assert journal.count("reset") == 2


@requirement("episode:task-failure")
@pytest.mark.parametrize("raised", [ValueError("mine"), SessionLost("of another server"), ConnectFailed("elsewhere")])
async def test_what_the_policy_raises_is_its_own_whatever_it_is(raised: Exception) -> None:
    def policy(seen: PlayObservation) -> PlayAction:
        raise raised

    journal = Journal()
    async with playing_on(journal) as env:
        with pytest.raises(type(raised)) as failed:
            await bounded(env.run_episode(policy, retries=5))
        assert failed.value is raised
        assert (await env.step(PlayAction(n=1))).observation.total == 1
    assert journal.count("reset") == 1


@requirement("episode:started-over")
async def test_the_last_failure_is_raised_and_tells_of_those_before_it() -> None:
    journal = Journal()
    async with playing_on(journal) as env:
        with pytest.raises(StepTimeout) as failed:
            await bounded(env.run_episode(lambda seen: PlayAction(op="wait"), retries=2, timeout_s=SOON_S))
        assert len(failed.value.__notes__) == 1
        assert failed.value.__notes__[0].startswith("attempt 3 of this episode; before it: StepTimeout: step() did not")
        # Whatever the last attempt left is what step() says it is.
        with pytest.raises(SessionBroken):
            await env.step(PlayAction())
        assert (await bounded(env.run_episode(end))).done
    assert journal.count("built") == 4


@requirement("episode:started-over")
async def test_no_retries_is_the_default_and_adds_nothing_to_the_error() -> None:
    async with playing_on(Journal()) as env:
        with pytest.raises(StepTimeout) as failed:
            await bounded(env.run_episode(lambda seen: PlayAction(op="wait"), timeout_s=SOON_S))
        assert not hasattr(failed.value, "__notes__")


@requirement("episode:started-over")
async def test_an_environment_that_cannot_be_built_now_is_built_later() -> None:
    broken, journal = [False], Journal()

    def build() -> AsyncPlay:
        if broken[0]:
            broken[0] = False
            raise OSError("the data is not there yet")
        return AsyncPlay(journal)

    async with serving(create_app(build, PlayAction, PlayObservation)) as served, PlayEnv(served.url) as env:
        broken[0] = True
        await env._leave_session()
        episode = await bounded(env.run_episode(end, retries=1))
        assert [type(failure) for failure in episode.failures] == [FactoryError]
        assert "OSError" in str(episode.failures[0])


@requirement("episode:started-over")
async def test_a_full_server_is_asked_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    limits = Limits(max_sessions=1, queue_timeout_s=0)
    async with serving(play_app(journal, limits=limits)) as served, PlayEnv(served.url) as env:
        await env.reset()
        await env._leave_session()
        async with PlayEnv(served.url) as holder:
            await holder.reset()
            with pytest.raises(CapacityError) as full:
                await bounded(env.run_episode(end))
            assert full.value.retryable
            with caplog.at_level(logging.WARNING, "openenv_async"):
                playing = asyncio.ensure_future(env.run_episode(end, retries=20))
                while "because of CapacityError" not in caplog.text:
                    await asyncio.wait([playing], timeout=0.01)
        episode = await bounded(playing)
        assert {type(failure) for failure in episode.failures} == {CapacityError}
        assert episode.done


def test_the_pauses_grow_are_bounded_and_are_never_shorter_than_told() -> None:
    for attempt in range(1, 30):
        longest = min(episodes.FIRST_PAUSE_S * 2 ** (attempt - 1), episodes.LONGEST_PAUSE_S)
        pauses = [episodes.pause(ConnectFailed("nobody"), attempt) for _ in range(50)]
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest
        assert len(set(pauses)) > 1, "many clients must not come back in the same moment"
        told = [episodes.pause(CapacityError("full", retry_after_s=2.0), attempt) for _ in range(50)]
        assert 2.0 <= min(told) <= max(told) <= 3.0
    assert episodes.pause(CapacityError("full", retry_after_s=1e9), 1) <= 1.5 * episodes.LONGEST_PAUSE_S
    assert episodes.pause(CapacityError("full", retry_after_s="soon"), 1) > 0
    assert episodes.pause(SessionLost("gone"), 9) == episodes.pause(StepTimeout("late"), 9) == 0.0


@requirement("episode:cancelled")
@pytest.mark.parametrize("wire", ["native", "json"])
@pytest.mark.parametrize("execution", ["thread", "inline"])
async def test_cancelling_in_a_step_leaves_the_session_as_step_does(wire: Any, execution: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution)) as served, PlayEnv(served.url, wire=wire) as env:
        playing = asyncio.ensure_future(env.run_episode(lambda seen: PlayAction(op="wait"), retries=5))
        await journal.until("waiting")
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bounded(playing)
        journal.open_gate("step")
        assert (await bounded(env.run_episode(end))).total_reward == 1.0
    assert journal.count("built") == 1


@requirement("episode:cancelled")
async def test_cancelling_in_the_policy_and_in_a_pause() -> None:
    inside = asyncio.Event()

    async def thinks(seen: PlayObservation) -> PlayAction:
        inside.set()
        await asyncio.Event().wait()
        raise AssertionError

    journal = Journal()
    async with serving(play_app(journal)) as served, PlayEnv(served.url) as env:
        playing = asyncio.ensure_future(env.run_episode(thinks, retries=5))
        await bounded(inside.wait())
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bounded(playing)
        assert (await env.step(PlayAction(n=1))).observation.total == 1
        # Between two attempts there is no session: only a reset goes on.
        await env._leave_session()
        assert (await bounded(env.run_episode(end))).done
    await journal.until("closed", 2)


@requirement("episode:cancelled")
async def test_cancelling_at_any_moment_of_a_new_attempt_leaves_nothing_behind() -> None:
    journal = Journal()
    async with serving(play_app(journal, limits=Limits(max_sessions=1))) as served:
        for turns in range(14):
            async with PlayEnv(served.url) as env:
                await env.reset()
                leaving = asyncio.ensure_future(env._leave_session())
                for _ in range(turns):
                    await asyncio.wait([leaving], timeout=0)
                leaving.cancel()
                await bounded(asyncio.wait([leaving]))
                assert (await bounded(env.run_episode(end))).done
    assert journal.count("built") == journal.count("closed")
