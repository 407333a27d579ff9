"""Environments that work for as long as a step says; `python pinged_server.py PING_S` serves them in a process."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time
from typing import Any

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.server import serve_app
from openenv_async.server.app import EnvApp
from openenv_async.server.runner import ServeOptions


class WorkAction(Action):
    seconds: float = 0.0
    holding_the_gil: bool = False


class WorkObservation(Observation):
    steps: int = 0


class Work(Environment[WorkAction, WorkObservation, State]):
    """In a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        self.steps = 0
        return WorkObservation()

    def step(self, action: WorkAction) -> Any:
        if action.holding_the_gil:
            # PyDLL, unlike CDLL, calls without letting go of the GIL, as badly written extensions do.
            ctypes.PyDLL(None).usleep(int(action.seconds * 1e6))
        else:
            time.sleep(action.seconds)
        return self.after()

    def after(self) -> WorkObservation:
        self.steps += 1
        return WorkObservation(steps=self.steps)

    @property
    def state(self) -> State:
        return State(step_count=self.steps)


class AsyncWork(Work):
    """On the event loop."""

    async def step(self, action: WorkAction) -> Any:
        await asyncio.sleep(action.seconds)
        return self.after()


def work_app(cls: type[Work]) -> EnvApp:
    return create_app(cls, WorkAction, WorkObservation)


def main() -> None:
    def ready(urls: list[str]) -> None:
        sys.stdout.write(urls[0] + "\n")
        sys.stdout.flush()

    serve_app(work_app(Work), port=0, ready=ready, options=ServeOptions(ping_interval_s=float(sys.argv[1])))


if __name__ == "__main__":
    main()
