"""An environment that tells a test what it does, and the server that serves it: `python sync_probe.py`.

A test passes `witness=PORT` to `reset`; the environment connects there. It sends a
line when a step hangs, ends the step when a line comes back, and its `close()`
closes the socket.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Literal

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.server import serve_app


class ProbeAction(Action):
    command: Literal["echo", "hang", "fail"] = "echo"
    text: str = ""


class ProbeObservation(Observation):
    text: str = ""


class ProbeState(State):
    pid: int = 0


class ProbeEnvironment(Environment[ProbeAction, ProbeObservation, ProbeState]):
    def __init__(self) -> None:
        super().__init__()
        self._state = ProbeState(pid=os.getpid())
        self._witness: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def reset(
        self, seed: int | None = None, episode_id: str | None = None, witness: int | None = None
    ) -> ProbeObservation:
        self._state = ProbeState(pid=os.getpid(), episode_id=episode_id)
        if witness is not None and self._witness is None:
            self._witness = await asyncio.open_connection("127.0.0.1", witness)
        return ProbeObservation(text=f"seed {seed}")

    async def step(self, action: ProbeAction) -> ProbeObservation:
        self._state.step_count += 1
        if action.command == "fail":
            raise LookupError("the probe was told to fail")
        if action.command == "hang":
            assert self._witness is not None, "hang takes reset(witness=...)"
            reader, writer = self._witness
            writer.write(b"hanging\n")
            await reader.readline()
        return ProbeObservation(text=action.text, reward=float(self._state.step_count))

    @property
    def state(self) -> ProbeState:
        return self._state

    async def close(self) -> None:
        if self._witness is not None:
            self._witness[1].close()


def main() -> None:
    def ready(urls: list[str]) -> None:
        sys.stdout.write(urls[0] + "\n")
        sys.stdout.flush()

    app = create_app(ProbeEnvironment, ProbeAction, ProbeObservation, state_cls=ProbeState)
    serve_app(app, port=0, ready=ready)


if __name__ == "__main__":
    main()
