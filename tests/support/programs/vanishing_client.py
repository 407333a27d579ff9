"""A client in a process of its own that a test kills: `vanishing_client.py URL WIRE` steps and waits for ever."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from openenv_async import AsyncEnv


async def main(url: str, wire: Any) -> None:
    async with AsyncEnv[Any, Any, Any](url, wire=wire, message_timeout_s=None) as env:
        await env.reset()
        await env.step({"op": "wait"})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
