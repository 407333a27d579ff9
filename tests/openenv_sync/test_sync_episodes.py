"""`SyncEnv.run_episode`: the same, in the thread that calls."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from requirements import requirement
from support.programs.probe_env import ProbeAction, ProbeObservation, ProbeState

from openenv_async.errors import EnvironmentFailed, SessionBusy, StepTimeout
from openenv_sync import SyncEnv

if TYPE_CHECKING:
    from support.probe_server import Witness

pytest_plugins = ["support.probe_server"]

STEPS = 3


class ProbeEnv(SyncEnv[ProbeAction, ProbeObservation, ProbeState]):
    pass


@requirement("episode:played", "sync:mirrors-async")
def test_a_policy_runs_in_the_thread_that_calls(server_url: str) -> None:
    threads: list[int] = []

    def policy(seen: ProbeObservation) -> ProbeAction:
        threads.append(threading.get_ident())
        return ProbeAction(text=f"after {seen.text}")

    with ProbeEnv(server_url) as env:
        episode = env.run_episode(policy, seed=4, max_steps=STEPS)
        assert set(threads) == {threading.get_ident()}
        assert episode.observations[1].text == "after seed 4"
        assert (episode.length, episode.truncated, episode.total_reward) == (STEPS, True, 6.0)


@requirement("episode:played", "sync:mirrors-async")
def test_an_async_policy_is_awaited(server_url: str) -> None:
    async def policy(seen: ProbeObservation) -> ProbeAction:
        await asyncio.sleep(0)
        return ProbeAction(text="x")

    with ProbeEnv(server_url) as env:
        assert env.run_episode(policy, max_steps=STEPS).length == STEPS


@requirement("episode:started-over", "sync:mirrors-async")
def test_a_hung_step_costs_one_attempt_and_connects_by_itself(server_url: str, witness: Witness) -> None:
    commands: Any = iter(["echo", "hang", "echo", "echo", "echo"])
    env = ProbeEnv(server_url)
    episode = env.run_episode(
        lambda seen: ProbeAction(command=next(commands)),
        retries=1,
        max_steps=STEPS,
        timeout_s=0.3,
        witness=witness.port,
    )
    assert [type(failure) for failure in episode.failures] == [StepTimeout]
    assert (episode.length, episode.total_reward) == (STEPS, 6.0)
    env.close()


@requirement("episode:task-failure", "sync:mirrors-async")
def test_the_tasks_own_failure_is_raised(server_url: str) -> None:
    with ProbeEnv(server_url) as env:
        with pytest.raises(EnvironmentFailed, match="told to fail"):
            env.run_episode(lambda seen: ProbeAction(command="fail"), retries=3)
        assert env.step(ProbeAction(text="goes on")).observation.text == "goes on"


@requirement("episode:cancelled", "sync:mirrors-async", "cancel:reaches")
@pytest.mark.parametrize("where", ["step", "policy"])
def test_ctrl_c_ends_it_and_the_client_is_usable(server_url: str, witness: Witness, where: str) -> None:
    def policy(seen: ProbeObservation) -> ProbeAction:
        if where == "policy":
            os.kill(os.getpid(), signal.SIGINT)
        return ProbeAction(command="hang")

    def interrupt() -> None:
        witness.wait_hanging()
        os.kill(os.getpid(), signal.SIGINT)

    with ProbeEnv(server_url) as env:
        watcher = threading.Thread(target=interrupt)
        if where == "step":
            watcher.start()
        with pytest.raises(KeyboardInterrupt):
            env.run_episode(policy, retries=3, witness=witness.port)
        if where == "step":
            watcher.join(10)
        assert env.run_episode(lambda seen: ProbeAction(), max_steps=1).length == 1


def test_two_episodes_at_once_are_refused(server_url: str) -> None:
    with ProbeEnv(server_url) as env:

        def policy(seen: ProbeObservation) -> ProbeAction:
            with pytest.raises(SessionBusy, match="one ProbeEnv per episode"):
                env.run_episode(policy)
            return ProbeAction()

        assert env.run_episode(policy, max_steps=1).length == 1
