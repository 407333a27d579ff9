"""An environment of tools that share an episode's notes."""

from __future__ import annotations

from typing import Any

from fastmcp import FastMCP
from openenv.core.env_server import create_app
from openenv.core.env_server.mcp_environment import MCPEnvironment
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation
from openenv.core.env_server.types import Action, Observation, State


class Notes(MCPEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        mcp = FastMCP("notes")
        self.notes: list[str] = []

        @mcp.tool
        def write(text: str) -> int:
            """Write a note; gives how many there are."""
            self.notes.append(text)
            return len(self.notes)

        @mcp.tool
        def read(index: int = -1) -> str:
            """Read a note."""
            return self.notes[index]

        super().__init__(mcp)
        self._state = State(episode_id="none")

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        self.notes.clear()
        self._state = State(episode_id=episode_id or "unnamed")
        return Observation(metadata={"hello": "there"})

    def _step_impl(self, action: Action, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        return Observation(metadata={"error": f"no move {type(action).__name__}"})

    def step(self, action: Action, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        self._state.step_count += 1
        return super().step(action, timeout_s=timeout_s, **kwargs)

    @property
    def state(self) -> State:
        return self._state


app = create_app(Notes, CallToolAction, CallToolObservation, env_name="notes", max_concurrent_envs=8)
