"""The app that serves Coding over HTTP and WebSocket.

Start it with `openenv serve`, with `python -m server.app` inside the project
folder, or with `python -m coding_env.server.app` where the package is installed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from openenv_async import create_app
from openenv_async.server import serve_app

if TYPE_CHECKING or __package__ != "server":
    from ..models import CodingAction, CodingObservation
    from .coding_environment import CodingEnvironment
else:  # started inside the project folder, where `models` is at the top
    from models import CodingAction, CodingObservation
    from server.coding_environment import CodingEnvironment

app = create_app(
    CodingEnvironment,
    CodingAction,
    CodingObservation,
    env_name="coding_env",
    # Each session may have a process running: this many at most, the others wait.
    max_concurrent_envs=64,
)


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="Serve this environment.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets others in")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    serve_app(app, host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
