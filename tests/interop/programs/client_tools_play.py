"""As `client_play`, for OpenEnv's client of tool environments: `python client_tools_play.py URL`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from openenv.core import MCPToolClient
from openenv.core.env_server.mcp_types import CallToolAction, ListToolsAction

URL = sys.argv[1]


def tell(label: str, value: Any) -> None:
    print(json.dumps({label: value}, default=lambda model: model.model_dump(), sort_keys=True), flush=True)  # noqa: T201


def tell_failure(label: str, call: Any, with_text: bool = True) -> None:
    try:
        call()
    except Exception as exc:
        tell(label, [type(exc).__name__, str(exc) if with_text else ""])
    else:
        tell(label, "no failure")


def blocking() -> None:
    with MCPToolClient(base_url=URL).sync() as env:
        tell("tools before reset", env.list_tools())
        reset = env.reset(episode_id="e1")
        tell("reset", [type(reset.observation).__name__, reset.observation, reset.reward, reset.done])
        tell("written", env.call_tool("write", text="one"))
        tell("again", env.call_tool("write", text="two"))
        tell("read", env.call_tool("read"))
        tell("by index", env.call_tool("read", index=0))
        tell_failure("no such tool", lambda: env.call_tool("burn"), with_text=False)
        tell_failure("wrong arguments", lambda: env.call_tool("write", tax=1), with_text=False)
        listed = env.step(ListToolsAction())
        tell("listed by step", [type(listed.observation).__name__, listed.observation, listed.done])
        stepped = env.step(CallToolAction(tool_name="read", arguments={"index": 0}))
        tell("called by step", [type(stepped.observation).__name__, stepped.observation.tool_name])
        tell("nothing wrong", stepped.observation.error)
        tell("state", env.state())
        tell("named", [env.get_tool("read").name, env.get_tool("burn"), env.has_tool("write"), env.has_tool("burn")])
        tell("kept", env.list_tools() is env.list_tools())
        env.reset()
        tell_failure("emptied", lambda: env.call_tool("read"), with_text=False)
    tell("unreachable", MCPToolClient(base_url="http://127.0.0.1:9").sync().list_tools())
    tell_failure("no simulation", lambda: MCPToolClient(URL, mode="simulation"))


async def awaiting() -> None:
    async with MCPToolClient(base_url=URL) as env:
        await env.reset()
        tell("async tools", [tool.name for tool in await env.list_tools()])
        tell("async call", await env.call_tool("write", text="three"))
        tell("async tool", await env.has_tool("read"))


def main() -> None:
    blocking()
    asyncio.run(awaiting())


if __name__ == "__main__":
    main()
