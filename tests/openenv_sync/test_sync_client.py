"""A sync client against a real server: the calls, the typed values, the lifetime."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from requirements import requirement
from support.programs.probe_env import ProbeAction, ProbeEnvironment, ProbeObservation, ProbeState
from support.servers import BOUND_S

from openenv_async import StepResult
from openenv_async.errors import (
    ClientClosed,
    ConnectFailed,
    EnvironmentFailed,
    InvalidPayload,
    NotReset,
    SessionBusy,
    StepTimeout,
    UsageError,
    WrongLoop,
)
from openenv_sync import SyncEnv, process

if TYPE_CHECKING:
    from support.probe_server import Witness

pytest_plugins = ["support.probe_server"]

WIRES = pytest.mark.parametrize("wire", ["native", "json"])


class ProbeEnv(SyncEnv[ProbeAction, ProbeObservation, ProbeState]):
    pass


def interrupt_when_hanging(witness: Witness) -> Callable[[], None]:
    def work() -> None:
        witness.wait_hanging()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    return lambda: thread.join(BOUND_S)


@WIRES
def test_an_episode(server_url: str, wire: Any) -> None:
    with ProbeEnv(base_url=server_url, wire=wire) as env:
        assert env.connected
        assert env.base_url == server_url
        first = env.reset(seed=3, episode_id="e1")
        assert (first.observation, first.done) == (ProbeObservation(text="seed 3"), False)
        result = env.step(ProbeAction(text="hello"), timeout_s=5)
        assert isinstance(result, StepResult)
        assert isinstance(result.observation, ProbeObservation)
        assert (result.observation.text, result.reward) == ("hello", 1.0)
        state = env.state()
        assert isinstance(state, ProbeState)
        assert (state.episode_id, state.step_count) == ("e1", 1)
    assert not env.connected


def test_an_untyped_client_takes_and_gives_dicts(server_url: str) -> None:
    with SyncEnv(base_url=server_url) as env:
        env.reset()
        assert env.step({"text": "x"}).observation["text"] == "x"
        assert env.state()["step_count"] == 1


def test_connect_on_the_class_and_on_an_instance(server_url: str) -> None:
    env = ProbeEnv.connect(server_url, message_timeout_s=5.0)
    assert type(env) is ProbeEnv
    assert env.connected
    session = env.session_id
    assert env.connect() is env
    assert env.session_id == session, "it was connected already"
    env.close()
    other = ProbeEnv(base_url=server_url)
    assert not other.connected
    assert other.connect().connected
    other.close()


def test_the_first_call_connects(server_url: str) -> None:
    env = ProbeEnv(base_url=server_url)
    assert env.reset().observation.text == "seed None"
    assert env.connected
    env.close()


@requirement("client:before-reset")
def test_a_step_before_any_reset_connects_and_says_what_is_missing(server_url: str) -> None:
    env = ProbeEnv(base_url=server_url)
    with pytest.raises(NotReset, match="reset"):
        env.step(ProbeAction())
    env.close()


def test_a_failed_connect_may_be_tried_again() -> None:
    env = ProbeEnv(base_url="http://127.0.0.1:9", connect_timeout_s=2.0)
    for _ in range(2):
        with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:9"):
            env.reset()
    assert not env.connected
    env.close()


def test_bad_arguments_are_refused_by_the_constructor() -> None:
    with pytest.raises(ValueError, match="ProbeEnv needs base_url"):
        ProbeEnv()
    with pytest.raises(UsageError, match="not an address"):
        ProbeEnv("ftp://here")


def test_a_reset_argument_may_have_any_name(server_url: str) -> None:
    with ProbeEnv(base_url=server_url) as env:
        arguments: dict[str, Any] = {"name": 1, "func": 1, "portal": 1}
        for name in arguments:
            with pytest.raises(InvalidPayload, match=name):
                env.reset(**{name: arguments[name]})


def test_errors_arrive_as_they_are_and_the_session_goes_on(server_url: str) -> None:
    with ProbeEnv(base_url=server_url) as env:
        env.reset()
        with pytest.raises(EnvironmentFailed, match="told to fail"):
            env.step(ProbeAction(command="fail"))
        with pytest.raises(InvalidPayload, match="colour"):
            env.reset(colour="red")
        assert env.step(ProbeAction(text="on")).observation.text == "on"


@requirement("client:after-close")
def test_close_twice_then_a_call(server_url: str) -> None:
    env = ProbeEnv.connect(server_url)
    env.close()
    env.close()
    for call in (env.reset, env.state, env.open, env.connect):
        with pytest.raises(ClientClosed, match="make a new ProbeEnv"):
            call()
    never_connected = ProbeEnv(server_url)
    never_connected.close()
    with pytest.raises(ClientClosed):
        never_connected.reset()


def test_close_runs_the_environments_close(server_url: str, witness: Witness) -> None:
    with ProbeEnv(base_url=server_url) as env:
        env.reset(witness=witness.port)
        assert witness.is_open()
    witness.wait_closed()


def test_an_environment_class_is_played_in_process() -> None:
    with ProbeEnv(base_url=ProbeEnvironment) as env:
        env.reset()
        assert env.state().pid == os.getpid()
        assert env.base_url is None


def test_a_collected_client_warns_and_its_session_is_closed(server_url: str, witness: Witness) -> None:
    env = ProbeEnv.connect(server_url)
    env.reset(witness=witness.port)
    with pytest.warns(ResourceWarning, match="unclosed ProbeEnv of http"):
        del env
    witness.wait_closed()


def test_a_collected_client_that_never_connected_is_silent(server_url: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        ProbeEnv(server_url)
        gc.collect()
    assert not seen


@requirement("sync:interrupt", "client:cancelled-call")
@WIRES
def test_ctrl_c_ends_a_step_and_the_client_is_usable(server_url: str, witness: Witness, wire: Any) -> None:
    with ProbeEnv(base_url=server_url, wire=wire) as env:
        env.reset(witness=witness.port)
        join = interrupt_when_hanging(witness)
        with pytest.raises(KeyboardInterrupt):
            env.step(ProbeAction(command="hang"), timeout_s=BOUND_S)
        join()
        witness.release()  # where the wire cannot cancel, the late reply is passed over
        assert env.step(ProbeAction(text="after")).observation.text == "after"


def test_a_timeout_is_the_async_clients(server_url: str, witness: Witness) -> None:
    with ProbeEnv(base_url=server_url) as env:
        env.reset(witness=witness.port)
        with pytest.raises(StepTimeout):
            env.step(ProbeAction(command="hang"), timeout_s=0.05)


@requirement("client:two-at-once")
def test_two_threads_on_one_client_are_told_so(server_url: str, witness: Witness) -> None:
    with ProbeEnv(base_url=server_url) as env, ThreadPoolExecutor(1) as pool:
        env.reset(witness=witness.port)
        hanging = pool.submit(env.step, ProbeAction(command="hang", text="first"))
        witness.wait_hanging()
        with pytest.raises(SessionBusy, match="one ProbeEnv per"):
            env.step(ProbeAction())
        witness.release()
        assert hanging.result(BOUND_S).observation.text == "first"


@requirement("sync:threads")
def test_many_threads_with_a_client_each(server_url: str) -> None:
    meet = threading.Barrier(16)

    def play(me: int) -> list[str]:
        with ProbeEnv(base_url=server_url) as env:
            env.reset()
            meet.wait(BOUND_S)  # every session is open at once
            return [env.step(ProbeAction(text=f"{me}.{n}")).observation.text for n in range(20)]

    with ThreadPoolExecutor(16) as pool:
        for me, texts in enumerate(pool.map(play, range(16))):
            assert texts == [f"{me}.{n}" for n in range(20)]
    loops = [thread for thread in threading.enumerate() if thread.name == "openenv-sync-loop"]
    assert len(loops) == 1


async def test_a_call_inside_a_running_loop_is_refused_but_a_thread_may(server_url: str) -> None:
    env = ProbeEnv(base_url=server_url)
    with pytest.raises(WrongLoop, match=r"ProbeEnv\.reset\(\).*AsyncEnv"):
        env.reset()
    assert (await asyncio.to_thread(env.reset)).observation.text == "seed None"
    with pytest.raises(WrongLoop, match=r"ProbeEnv\.close\(\)"):
        env.close()
    assert env.connected
    await asyncio.to_thread(env.close)


@requirement("sync:notebook")
async def test_a_notebooks_cell_may_block_its_loop(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The shell of a real kernel is recognised by its `kernel`; a kernel is too heavy to run here.
    ipython = types.ModuleType("IPython")
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    with ProbeEnv(base_url=server_url) as env:
        assert env.reset().observation.text == "seed None"


@requirement("sync:in-own-loop")
def test_a_call_on_the_clients_own_loop_is_refused(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = ProbeEnv(base_url=server_url)

    async def inside() -> None:
        env.reset()

    with pytest.raises(WrongLoop, match="own event loop"):
        process.portal().call(inside)
    env.close()
