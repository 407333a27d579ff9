"""An environment as one writes it for OpenEnv, which draws itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.types import Action, Observation, State
from openenv_async.compat.server.web_interface import create_web_interface_app


class SwitchAction(Action):
    to: str
    label: bytes = b""


class LampObservation(Observation):
    light: str = "off"


class LampEnvironment(Environment[SwitchAction, LampObservation, State]):
    """A lamp."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, bright: bool = False, **kwargs: Any
    ) -> LampObservation:
        return LampObservation(light="bright" if bright else "dim")

    def step(self, action: SwitchAction, timeout_s: float | None = None, **kwargs: Any) -> LampObservation:
        return LampObservation(light=f"{action.to}{action.label.decode()}", reward=1.0, done=action.to == "off")

    @property
    def state(self) -> State:
        return State(step_count=1)

    def render_web(self, observation: dict[str, Any]) -> str:
        return f"<b>{observation['light']}, reward {observation['reward'] or 0:.1f}, done {observation['done']}</b>"

    def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [("Switch off", {"to": "off"})]


def lamp_app() -> FastAPI:
    """Give its app, with the page."""
    return create_web_interface_app(
        LampEnvironment, SwitchAction, LampObservation, env_name="lamp", max_concurrent_envs=2
    )
