"""`openenv.core.generic_client`: a client without the environment's classes, dicts in and dicts out."""

from __future__ import annotations

from typing import Any

from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.env_client import EnvClient


class GenericEnvClient(EnvClient[dict[str, Any], dict[str, Any], dict[str, Any]]):
    """A session on any OpenEnv server: actions are dicts, and so are observations and states."""

    def _step_payload(self, action: Any) -> dict[str, Any]:
        if isinstance(action, dict):
            return action
        if hasattr(action, "model_dump"):
            fields: dict[str, Any] = action.model_dump()
            return fields
        return dict(vars(action)) if hasattr(action, "__dict__") else dict(action)

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[dict[str, Any]]:
        return StepResult(
            payload.get("observation", {}), payload.get("reward"), payload.get("done", False), payload.get("metadata")
        )

    def _parse_state(self, payload: dict[str, Any]) -> dict[str, Any]:
        return payload


class GenericAction(dict[str, Any]):
    """A dict of keyword arguments, for code that reads better with the name of an action."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(kwargs)

    def __repr__(self) -> str:
        return f"GenericAction({', '.join(f'{name}={value!r}' for name, value in self.items())})"
