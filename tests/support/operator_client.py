"""What an operator asks a server over HTTP, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from openenv_async.server.operator_key import HEADER, find_key
from support.servers import BOUND_S, bounded


def operator_headers(url: str) -> dict[str, str]:
    """What the commands on the server's own machine send."""
    key = find_key(url)
    return {HEADER: key} if key else {}


async def listed(url: str, **query: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url, headers=operator_headers(url)) as http:
        answer = await bounded(http.get("/sessions", params=query))
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def close(url: str, name: str, **query: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url, headers=operator_headers(url), timeout=30) as http:
        return await bounded(http.delete(f"/sessions/{name}", params=query))


async def until_listed(url: str, fits: Callable[[dict[str, Any]], Any], **query: Any) -> dict[str, Any]:
    """Ask until the list fits; gives it."""
    async with asyncio.timeout(BOUND_S):
        # Asked over a socket each time, which lets the loop turn.
        while not fits(said := await listed(url, **query)):
            pass
    return said
