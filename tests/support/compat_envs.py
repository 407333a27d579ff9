"""Environments written for OpenEnv, and a client that says exactly what a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from pydantic import field_validator
from websockets.asyncio.client import ClientConnection, connect

from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.types import Action, Observation, State
from support.servers import BOUND_S, Journal, bounded


class Say(Action):
    text: str = "hi"

    @field_validator("text")
    @classmethod
    def _allowed(cls, value: str) -> str:
        if value == "forbidden":
            raise ValueError("this word is not allowed")
        return value


class Said(Observation):
    text: str = ""
    value: Any = None


class Recording(Environment[Say, Said, State]):
    """Notes what is called, and on which thread."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    journal: Journal

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()
        self.journal.note(f"built on {self.thread}")
        self._noted("built")

    def _noted(self, what: str) -> None:
        self.journal.note(what)
        if threading.current_thread() is threading.main_thread():
            self.journal.note("on the loop")
        if threading.get_ident() != self.thread:
            self.journal.note("on another thread")

    def reset(self, seed: int | None = None) -> Said:  # type: ignore[override]
        self._noted("reset")
        return Said(text="ready")

    def step(self, action: Say, timeout_s: float | None = None) -> Said:  # type: ignore[override]
        self._noted("step")
        if action.text == "wait":
            assert self.journal.gate("step").wait(BOUND_S)
        if action.text == "numpy":
            return Said(value={"array": np.arange(3), "scalar": np.float32(1.5)})
        return Said(text=action.text or str(self.thread), reward=1)

    @property
    def state(self) -> State:
        self._noted("state")
        return State(step_count=self.journal.count("step"))

    def list_splits(self) -> list[str]:
        self._noted("list_splits")
        return ["train"]

    def close(self) -> None:
        self._noted("close")


def recording(journal: Journal, **attributes: Any) -> type[Recording]:
    """Give a class of its own for one test."""
    return type("Recording", (Recording,), {"journal": journal, **attributes})


class Socket:
    """One `/ws` connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, message: Any) -> dict[str, Any]:
        await self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))
        return await self.hear()

    async def hear(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await bounded(self.socket.recv()))
        return answer

    async def reset(self, **arguments: Any) -> dict[str, Any]:
        return await self.say({"type": "reset", "data": arguments})

    async def step(self, **action: Any) -> dict[str, Any]:
        return await self.say({"type": "step", "data": action})


@contextlib.asynccontextmanager
async def opened(url: str, path: str = "/ws", **options: Any) -> AsyncIterator[Socket]:
    async with connect(f"{url.replace('http', 'ws', 1)}{path}", proxy=None, **options) as socket:
        yield Socket(socket)
