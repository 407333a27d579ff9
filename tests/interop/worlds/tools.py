"""Environments with tools: FastMCP's, tools of one mode, a server without a client, and tool actions without either."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Optional

from fastmcp import Context, FastMCP
from openenv.core.env_server import (
    Action,
    CallToolAction,
    CallToolObservation,
    ConcurrencyConfig,
    Environment,
    ListToolsObservation,
    Observation,
    State,
    create_app,
)
from openenv.core.env_server.mcp_environment import MCPEnvironment
from openenv.core.env_server.mcp_types import Tool


class ToolEnvironment(MCPEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        mcp = FastMCP("tools")
        self.calls = 0

        @mcp.tool
        def add(a: int, b: int = 1) -> int:
            """Add two numbers."""
            self.calls += 1
            return a + b

        @mcp.tool
        async def echo(text: str) -> dict:
            await asyncio.sleep(0)
            self.calls += 1
            return {"text": text, "calls": self.calls}

        @mcp.tool
        def fail(how: str = "value") -> str:
            if how == "value":
                raise ValueError("it failed")
            raise RuntimeError("invalid something")

        @mcp.tool
        async def remember(ctx: Context, value: Optional[str] = None) -> Any:
            if value is not None:
                await ctx.set_state("value", value)
            return await ctx.get_state("value")

        @mcp.tool
        async def slow() -> str:
            await asyncio.sleep(30)
            return "late"

        super().__init__(mcp)
        self._state = State()

        @self.tool(mode="simulation")
        def only_simulated(n: int, x: float, b: bool = False, s="a") -> int:
            """Only here."""
            return n

        @self.tool()
        def everywhere(n: int) -> int:
            return n * 2

    def reset(self, seed=None, episode_id=None, **kwargs):
        self.calls = 0
        self._state = State(episode_id=episode_id)
        return Observation(metadata={"status": "ready"})

    def _step_impl(self, action, timeout_s=None, **kwargs):
        self._state.step_count += 1
        return Observation(reward=0.5, metadata={"type": type(action).__name__, "calls": self.calls})

    @property
    def state(self):
        return self._state


class Moded(ToolEnvironment):
    _mode = "simulation"


asked_by = contextvars.ContextVar("asked_by", default="nobody")


class Routed(ToolEnvironment):
    """Its tools know by a context variable which step asked them."""

    def __init__(self):
        super().__init__()

        @self.mcp_server.tool
        def who() -> str:
            return asked_by.get()

    async def step_async(self, action, timeout_s=None, **kwargs):
        asked_by.set(f"step {self._state.step_count}")
        self._state.step_count += 1
        return await super().step_async(action, timeout_s=timeout_s, **kwargs)


class ServerOnly(Environment):
    def __init__(self):
        self.mcp_server = FastMCP("only")

        @self.mcp_server.tool
        def double(n: int) -> int:
            """Twice."""
            return 2 * n

        @self.mcp_server.tool
        async def triple(n: int) -> int:
            return 3 * n

    def reset(self):
        return Observation()

    def step(self, action):
        return Observation(reward=1.0)

    @property
    def state(self):
        return State()


class ByAction(Environment):
    """Takes tool actions and has no FastMCP."""

    def __init__(self):
        self.steps = 0

    def reset(self):
        return Observation()

    def step(self, action):
        self.steps += 1
        if action.type == "list_tools":
            return ListToolsObservation(tools=[Tool(name="t", description="d", input_schema={"type": "object"})])
        if action.tool_name == "odd":
            return Observation(reward=1.0)
        if action.tool_name == "boom":
            raise ValueError("boom")
        return CallToolObservation(
            tool_name=action.tool_name, result={"steps": self.steps, **action.arguments}, reward=1
        )

    @property
    def state(self):
        return State(step_count=self.steps)


class None_(Environment):
    def reset(self):
        return Observation()

    def step(self, action):
        return Observation()

    @property
    def state(self):
        return State()


class Broken(None_):
    def __init__(self):
        raise RuntimeError("no")


config = ConcurrencyConfig(max_concurrent_envs=3)
app = create_app(ToolEnvironment, Action, Observation, env_name="tools", concurrency_config=config)
app.mount("/moded", create_app(Moded, CallToolAction, CallToolObservation, max_concurrent_envs=2))
app.mount("/routed", create_app(Routed, CallToolAction, CallToolObservation))
app.mount("/server", create_app(ServerOnly, Action, Observation))
app.mount("/byaction", create_app(ByAction, CallToolAction, CallToolObservation))
app.mount("/none", create_app(None_, Action, Observation))
app.mount("/broken", create_app(Broken, Action, Observation))
app.mount("/production", create_app(ToolEnvironment, Action, Observation, mode="production"))
