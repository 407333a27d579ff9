"""A trainer's program for OpenEnv's client: `python client_play.py URL`. Prints what it got, one JSON line each.

Run as it is by OpenEnv's own interpreter, and by ours with `python -m openenv_async.compat`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

from openenv.core import EnvClient, GenericAction, GenericEnvClient, SyncEnvClient
from openenv.core.client_types import StepResult
from openenv.core.env_server.types import Action, Observation, State
from openenv.core.utils import run_async_safely

URL = sys.argv[1]


class Move(Action):
    n: int = 0
    note: str = ""


class View(Observation):
    total: int = 0
    note: str = ""


class Score(State):
    total: int = 0


class GameEnv(EnvClient[Move, View, Score]):
    def _step_payload(self, action: Move) -> dict[str, Any]:
        return {"n": action.n, "note": action.note}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[View]:
        fields = payload.get("observation", {})
        view = View(total=fields["total"], note=fields["note"], done=payload["done"], reward=payload.get("reward"))
        return StepResult(observation=view, reward=payload.get("reward"), done=payload.get("done", False))

    def _parse_state(self, payload: dict[str, Any]) -> Score:
        return Score(episode_id=payload["episode_id"], step_count=payload["step_count"], total=payload["total"])


def tell(label: str, value: Any) -> None:
    if isinstance(value, StepResult):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    print(json.dumps({label: value}, default=lambda model: model.model_dump(), sort_keys=True), flush=True)  # noqa: T201


def tell_failure(label: str, call: Callable[[], Any], with_text: bool = True) -> None:
    try:
        call()
    except Exception as exc:
        tell(label, [type(exc).__name__, str(exc) if with_text else ""])
    else:
        tell(label, "no failure")


def blocking() -> None:
    with GenericEnvClient(base_url=URL).sync() as env:
        tell("a front", isinstance(env, SyncEnvClient))
        tell("reset", env.reset(seed=7, episode_id="e1", start=10))
        tell("step", env.step({"n": 2, "note": "two"}))
        tell("no metadata", env.step(GenericAction(n=3)))
        tell("a float", env.step({"n": 1, "note": "float"}))
        tell("state", env.state())
        tell_failure("raises", lambda: env.step({"note": "fail"}))
        tell_failure("unknown field", lambda: env.step({"m": 1}))
        tell_failure("wrong type", lambda: env.step({"n": "many"}))
        tell("goes on", env.step({"n": 100}))
        tell("again", env.reset())
        tell("address", env.base_url == URL)
    with GameEnv(base_url=URL) as typed:
        tell("typed reset", typed.reset(start=1))
        tell("typed step", typed.step(Move(n=4, note="four")))
        tell("typed state", typed.state())
    plain = GenericEnvClient(URL)
    tell("before reset", plain.state())
    tell("plain", plain.reset(start=2))
    tell("closed", plain.close())
    tell("used again", plain.reset(start=3))
    plain.close()


def refusing() -> None:
    env = GenericEnvClient(base_url=URL, message_timeout_s=0.2).sync()
    env.reset(start=1)
    tell_failure("slow", lambda: env.step({"note": "slow"}), with_text=False)
    tell("after a timeout", env.reset(start=2))
    env.close()
    tell_failure("nobody there", GenericEnvClient(base_url="http://127.0.0.1:9").sync().reset, with_text=False)
    tell_failure("no address", lambda: GenericEnvClient())
    tell_failure("no such mode", lambda: GenericEnvClient(URL, mode="Other"))
    tell_failure("mode is fixed", lambda: setattr(GenericEnvClient(URL), "_mode", "production"))
    tell_failure("abstract", lambda: EnvClient(URL), with_text=False)  # type: ignore[abstract]


def full() -> None:
    envs = [GenericEnvClient(base_url=URL).sync() for _ in range(8)]
    for number, env in enumerate(envs):
        env.reset(start=number)
    tell_failure("full", GenericEnvClient(base_url=URL).sync().reset)
    tell("each its own", [env.step({"n": 1}).observation["total"] for env in envs])
    for env in envs:
        env.close()


async def awaiting() -> None:
    async with GenericEnvClient(base_url=URL) as env:
        tell("async reset", await env.reset(start=5))
        tell("async step", await env.step({"n": 1}))
        tell("async state", await env.state())
        try:
            await env.step({"note": "fail"})
        except RuntimeError as exc:
            tell("async raises", str(exc))
        tell("raw", await env._send_and_receive({"type": "state"}))
        tell("bounded", await asyncio.wait_for(env.step({"n": 1}), 5))
        other = await env.new_session()
        tell("another session", await other.reset(start=50))
        tell("the first", await env.state())
    envs = [GameEnv(base_url=URL) for _ in range(4)]
    await asyncio.gather(*(env.connect() for env in envs))
    await asyncio.gather(*(env.reset(start=number) for number, env in enumerate(envs)))
    steps = await asyncio.gather(*(env.step(Move(n=10)) for env in envs))
    tell("gathered", [result.observation.total for result in steps])
    await asyncio.gather(*(env.close() for env in envs))


async def reading() -> None:
    env = GenericEnvClient(base_url=URL)
    result = env.reset(start=6)  # no await, as in a notebook
    tell("read", [result.observation, result.done])
    tell("then plain", env.step({"n": 1}))
    env.close()


async def safely() -> Any:
    async with GenericEnvClient(base_url=URL) as env:
        return (await env.reset(start=8)).observation["total"]


def main() -> None:
    blocking()
    full()
    refusing()
    asyncio.run(awaiting())
    asyncio.run(reading())
    tell("safely", run_async_safely(safely()))


if __name__ == "__main__":
    main()
