"""Environments that draw themselves for the web page, and say where they did."""

from __future__ import annotations

import asyncio
import html
import multiprocessing
import os
from typing import Any, Literal

import msgspec
from websockets.asyncio.client import connect

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.server.app import EnvApp

SERVER = os.getpid()


class Spot(msgspec.Struct):
    x: int


class DrawAction(Action):
    text: str = ""


class DrawObservation(Observation):
    text: str = ""


class DrawEnvironment(Environment[DrawAction, DrawObservation, State]):
    """Draws."""

    def reset(  # type: ignore[override]
        self, start: Spot, seed: int | None = None, level: Literal["easy", "hard"] = "easy"
    ) -> DrawObservation:
        return DrawObservation()

    def step(self, action: DrawAction) -> DrawObservation:
        return DrawObservation(text=action.text)

    @property
    def state(self) -> State:
        return State()

    def render_web(self, observation: dict[str, Any]) -> str | None:
        return f"<p>{html.escape(observation['text'])} {where()}</p>"

    def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any] | DrawAction]]:
        return [("Go", {"text": "go"}), ("Say", DrawAction(text="s"))]


class AsyncDraw(DrawEnvironment):
    """Draws."""

    async def step(self, action: DrawAction) -> DrawObservation:  # type: ignore[override]
        return DrawObservation(text=action.text)

    async def render_web(self, observation: dict[str, Any]) -> str | None:  # type: ignore[override]
        return DrawEnvironment.render_web(self, observation)


class WrongEnvironment(DrawEnvironment):
    """Draws wrongly."""

    def render_web(self, observation: dict[str, Any]) -> Any:
        if observation["text"] == "raise":
            raise RuntimeError("no pencil")
        return 3 if observation["text"] == "number" else None

    def web_actions(self, observation: dict[str, Any]) -> Any:
        return ["go"] if observation["text"] == "pairs" else []


DRAWERS = [DrawEnvironment, AsyncDraw]


def where() -> str:
    """Say where this runs: in the server's loop or a thread of it, or in another process."""
    if os.getpid() != SERVER or multiprocessing.parent_process() is not None:
        return "elsewhere"
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "thread"
    return "loop"


def drawer_app(env: type[DrawEnvironment] = DrawEnvironment, **options: Any) -> EnvApp:
    return create_app(env, DrawAction, DrawObservation, **options)


def page_socket(url: str, *offered: str) -> connect:
    """Open a WebSocket as the page does."""
    address = url.replace("http", "ws", 1) + "/ws"
    return connect(address, subprotocols=["openenv-web.v1", *offered], proxy=None)  # type: ignore[list-item]
