"""What a class of the user's own brings: its type arguments, OpenEnv's hooks, a provider."""

from __future__ import annotations

from typing import Any

import pytest
from support.programs.probe_env import ProbeAction, ProbeObservation, ProbeState

from openenv_async import StepResult
from openenv_async.errors import ConnectFailed, WrongLoop
from openenv_sync import SyncEnv

pytest_plugins = ["support.probe_server"]

WIRES = pytest.mark.parametrize("wire", ["native", "json"])


class ProbeEnv(SyncEnv[ProbeAction, ProbeObservation, ProbeState]):
    pass


class Source:
    """A provider whose server is there already."""

    def __init__(self, url: str) -> None:
        self.url, self.log = url, list[str]()

    async def start(self) -> str:
        self.log.append("start")
        return self.url

    async def stop(self) -> None:
        self.log.append("stop")


def test_a_provider_is_started_on_first_use_and_stopped_by_close(server_url: str) -> None:
    source = Source(server_url)
    env = ProbeEnv(provider=source)
    assert (source.log, env.base_url) == ([], None)
    env.reset()
    assert (source.log, env.base_url) == (["start"], server_url)
    env.close()
    env.close()
    assert source.log == ["start", "stop"]


def test_from_docker_image_and_from_hub_give_connected_clients_of_the_class(server_url: str) -> None:
    source = Source(server_url)
    for make in (ProbeEnv.from_docker_image, ProbeEnv.from_hub):
        with make("org/name", provider=source, message_timeout_s=5.0) as env:
            assert type(env) is ProbeEnv
            assert env.connected
            assert type(env.reset().observation) is ProbeObservation
    assert source.log == ["start", "stop"] * 2


def test_a_start_that_fails_stops_what_was_started() -> None:
    source = Source("http://127.0.0.1:9")
    with pytest.raises(ConnectFailed):
        ProbeEnv.from_docker_image("image", provider=source)
    assert source.log == ["start", "stop"]


async def test_starting_a_server_inside_a_running_loop_is_refused() -> None:
    with pytest.raises(WrongLoop, match=r"ProbeEnv\.from_hub\(\)"):
        ProbeEnv.from_hub("org/name")


class Overriding(SyncEnv[ProbeAction, ProbeObservation, ProbeState]):
    """Written as OpenEnv's guide shows, with attributes of its own."""

    suffix = "!"

    def _step_payload(self, action: ProbeAction) -> dict[str, Any]:
        return {**super()._step_payload(action), "text": action.text + self.suffix}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ProbeObservation]:
        result = super()._parse_result(payload)
        assert isinstance(result.observation, ProbeObservation)
        result.metadata = {"raw": payload["observation"]["text"]}
        return result

    def _parse_state(self, payload: dict[str, Any]) -> ProbeState:
        return ProbeState(episode_id="mine", step_count=payload["step_count"])


class Inheriting(Overriding):
    suffix = "?"


@WIRES
@pytest.mark.parametrize("cls", [Overriding, Inheriting])
def test_overridden_hooks_are_used(server_url: str, cls: type[Overriding], wire: Any) -> None:
    with cls(base_url=server_url, wire=wire) as env:
        env.reset()
        result = env.step(ProbeAction(text="hi"))
        assert result.observation.text == "hi" + cls.suffix
        assert result.metadata == {"raw": "hi" + cls.suffix}
        assert env.state() == ProbeState(episode_id="mine", step_count=1)


def test_a_subclass_inherits_the_type_arguments(server_url: str) -> None:
    class Longer(ProbeEnv):
        pass

    with Longer(base_url=server_url) as env:
        assert type(env.reset().observation) is ProbeObservation
