"""What travels over HTTP, as pydantic models, and the settings and reports of a server."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from openenv_async.compat.server.models import BaseMessage, HealthStatus


class ResetRequest(BaseModel):
    """The body of `POST /reset`; keys of the environment's own go to its `reset`."""

    model_config = ConfigDict(extra="allow")

    seed: int | None = Field(default=None, ge=0)
    episode_id: str | None = Field(default=None, max_length=255)


class StepRequest(BaseModel):
    """The body of `POST /step`; keys of the environment's own go to its `step`."""

    model_config = ConfigDict(extra="allow")

    action: dict[str, Any]
    timeout_s: float | None = Field(default=None, gt=0, description="seconds")
    request_id: str | None = Field(default=None, max_length=255)


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid")

    observation: dict[str, Any]
    reward: float | None = None
    done: bool = False
    metadata: dict[str, Any] | None = None


class ResetResponse(_Result):
    """The answer of `POST /reset`."""


class StepResponse(_Result):
    """The answer of `POST /step`."""


class SchemaResponse(BaseMessage):
    """The answer of `GET /schema`: the JSON Schemas of an environment's classes."""

    action: dict[str, Any]
    observation: dict[str, Any]
    state: dict[str, Any]
    reset_observation: dict[str, Any] | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data = cast("dict[str, Any]", handler(self))
        if self.reset_observation is None:
            data.pop("reset_observation", None)
        return data


class HealthResponse(BaseMessage):
    """The answer of `GET /health`."""

    status: HealthStatus = HealthStatus.HEALTHY


class ListTasksRequest(BaseMessage):
    """The body of `POST /{env_name}/tasks`."""

    split: str


class NumTasksRequest(BaseMessage):
    """The body of `POST /{env_name}/num_tasks`."""

    split: str


class GetTaskRequest(BaseMessage):
    """The body of `POST /{env_name}/task`."""

    split: str
    index: int


class GetTaskRangeRequest(BaseMessage):
    """The body of `POST /{env_name}/task_range`, whose bounds are those of a Python slice."""

    split: str
    start: int | None = None
    stop: int | None = None


class ConcurrencyConfig(BaseMessage):
    """How many sessions a server has at once, and how long one may be idle."""

    max_concurrent_envs: int = Field(default=1, ge=1)
    session_timeout: float | None = Field(default=None, gt=0, description="seconds; None: for ever")


class ServerCapacityStatus(BaseMessage):
    """How many sessions a server has, and how many it may have."""

    active_sessions: int = Field(ge=0)
    max_sessions: int = Field(ge=1)

    @model_validator(mode="after")
    def _within_bounds(self) -> ServerCapacityStatus:
        if self.active_sessions > self.max_sessions:
            raise ValueError(
                f"active_sessions ({self.active_sessions}) cannot exceed max_sessions ({self.max_sessions})"
            )
        return self

    @property
    def available_slots(self) -> int:
        """Sessions that could still begin."""
        return self.max_sessions - self.active_sessions

    @property
    def is_at_capacity(self) -> bool:
        """Whether no other session can begin."""
        return self.available_slots == 0

    @classmethod
    def from_counts(cls, active: int, max_sessions: int) -> ServerCapacityStatus:
        """Make one of two numbers."""
        return cls(active_sessions=active, max_sessions=max_sessions)


class SessionInfo(BaseMessage):
    """One session of a server; times are seconds since 1970."""

    session_id: str
    created_at: float
    last_activity_at: float
    step_count: int = Field(default=0, ge=0)
    environment_type: str
