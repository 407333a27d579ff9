"""A server process to be flooded: its memory is measured from outside. Run with its limits as JSON."""

from __future__ import annotations

import json
import sys

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.limits import Limits
from openenv_async.server.runner import serve_app


class Ask(Action):
    size: int = 0
    padding: bytes = b""


class Told(Observation):
    total: int = 0
    data: bytes = b""


class Big(Environment[Ask, Told, State]):
    """Gives as many bytes as it is asked for, and counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> Told:
        self.steps = 0
        return Told()

    async def step(self, action: Ask) -> Told:
        self.steps += 1
        return Told(total=self.steps, data=bytes(action.size))

    @property
    def state(self) -> State:
        return State(step_count=self.steps)


def main() -> None:
    app = create_app(Big, Ask, Told, limits=Limits(**json.loads(sys.argv[1])))

    def ready(urls: list[str]) -> None:
        sys.stdout.write(urls[0] + "\n")
        sys.stdout.flush()

    serve_app(app, port=0, ready=ready)


if __name__ == "__main__":
    main()
