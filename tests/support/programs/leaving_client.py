"""A program whose event loop ends while a session is open: `leaving_client.py URL`."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from typing import Any

from openenv_async import AsyncEnv


async def main(url: str) -> None:
    env = AsyncEnv[Any, Any, Any](url)
    await env.connect()
    await env.reset()
    kept.append(env)


kept: list[Any] = []

if __name__ == "__main__":
    warnings.simplefilter("ignore", ResourceWarning)
    asyncio.run(main(sys.argv[1]))
    gc.collect()
