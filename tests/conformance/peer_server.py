# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""A small environment on OpenEnv's own server: `python peer_server.py PLACES`, with OpenEnv's interpreter."""

import random
import socket
import sys

import uvicorn
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State


class PlayAction(Action):
    message: str


class PlayObservation(Observation):
    seen: str = ""
    roll: int = 0


class PlayEnvironment(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self._state, self._random = State(), random.Random()

    def reset(self, seed=None, episode_id=None, **kwargs):
        self._state, self._random = State(episode_id=episode_id), random.Random(seed)
        return PlayObservation(seen="begin", reward=0.0, done=False)

    def step(self, action, timeout_s=None, **kwargs):
        self._state.step_count += 1
        return PlayObservation(seen=action.message, roll=self._random.randrange(1000), reward=1.0, done=False)

    @property
    def state(self):
        return self._state


if __name__ == "__main__":
    app = create_app(
        PlayEnvironment, PlayAction, PlayObservation, env_name="play", max_concurrent_envs=int(sys.argv[1])
    )
    listener = socket.create_server(("127.0.0.1", 0))
    # The socket listens already: a client that is early waits.
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
