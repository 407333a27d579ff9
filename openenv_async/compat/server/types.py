"""`openenv.core.env_server.types`: base classes of authors, and the models of what is sent over HTTP and `/ws`.

The docstrings of `Action`, `Observation` and `State` and the descriptions of their
fields are part of the wire format: `/schema` answers with them. So is the spelling of
their annotations: a subclass made with `@dataclass` is described by its signature.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Dict, Literal, Optional, cast  # noqa: UP035 - see above

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

Scalar = int | float | bool


class ServerMode(str, Enum):  # noqa: UP042 - `str(mode)` is what it is on 0.10.0
    """Which routes a server has: all, or only those that do not control an episode over HTTP."""

    SIMULATION = "simulation"
    PRODUCTION = "production"


class HealthStatus(str, Enum):  # noqa: UP042
    """The states that `/health` reports."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DEGRADED = "degraded"


class WSErrorCode(str, Enum):  # noqa: UP042
    """The codes of error messages on `/ws`."""

    INVALID_JSON = "INVALID_JSON"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    EXECUTION_ERROR = "EXECUTION_ERROR"
    CAPACITY_REACHED = "CAPACITY_REACHED"
    FACTORY_ERROR = "FACTORY_ERROR"
    SESSION_ERROR = "SESSION_ERROR"


class Action(BaseModel):
    """Base class for all environment actions.

    All action subclasses should inherit from this base class.
    Uses Pydantic for automatic validation and serialization.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    metadata: Dict[str, Any] = Field(  # noqa: UP006
        default_factory=dict, description="Additional metadata for the action"
    )


class Observation(BaseModel):
    """Base class for all environment observations.

    All observation subclasses should inherit from this base class.
    Uses Pydantic for automatic validation and serialization.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    done: bool = Field(default=False, description="Whether the episode has terminated")
    reward: bool | int | float | None = Field(default=None, description="Reward signal from the last action")
    metadata: Dict[str, Any] = Field(  # noqa: UP006
        default_factory=dict, description="Additional metadata for the observation"
    )


class State(BaseModel):
    """Base class for environment state.

    Represents internal environment state, separate from observations.
    """

    model_config = ConfigDict(extra="allow", validate_assignment=True, arbitrary_types_allowed=True)

    episode_id: Optional[str] = Field(  # noqa: UP045
        default=None, description="Unique identifier for the current episode"
    )
    step_count: int = Field(default=0, ge=0, description="Number of steps taken in the current episode")


class BaseMessage(BaseModel):
    """Base of messages and settings: no unknown keys, checked on assignment too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class CodeExecResult(BaseMessage):
    """The outcome of running a piece of code."""

    stdout: str
    stderr: str
    exit_code: int


class EnvironmentMetadata(BaseMessage):
    """An environment's description, as `/metadata` returns it."""

    name: str
    description: str
    readme_content: str | None = None
    version: str | None = None
    author: str | None = None
    documentation_url: str | None = None


class WSResetMessage(BaseMessage):
    """Begin an episode; `data` are the arguments of `reset`."""

    type: Literal["reset"] = "reset"
    data: dict[str, Any] = Field(default_factory=dict)


class WSStepMessage(BaseMessage):
    """Take a step; `data` is the action itself."""

    type: Literal["step"] = "step"
    data: dict[str, Any]


class WSStateMessage(BaseMessage):
    """Ask for the state."""

    type: Literal["state"] = "state"


class WSCloseMessage(BaseMessage):
    """End the session."""

    type: Literal["close"] = "close"


WSIncomingMessage = Annotated[
    WSResetMessage | WSStepMessage | WSStateMessage | WSCloseMessage, Field(discriminator="type")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WSObservationResponse(_Strict):
    """The answer to a reset or a step."""

    type: Literal["observation"] = "observation"
    data: dict[str, Any]


class WSStateResponse(_Strict):
    """The answer to a state message."""

    type: Literal["state"] = "state"
    data: dict[str, Any]


class WSErrorResponse(_Strict):
    """An error: `message`, `code`, and the details of that code."""

    type: Literal["error"] = "error"
    data: dict[str, Any]


class ResetRequest(BaseModel):
    """The body of `POST /reset`; other keys are passed to the environment's `reset`."""

    model_config = ConfigDict(extra="allow")

    seed: int | None = Field(default=None, ge=0)
    episode_id: str | None = Field(default=None, max_length=255)


class StepRequest(BaseModel):
    """The body of `POST /step`; other keys are passed to the environment's `step`."""

    model_config = ConfigDict(extra="allow")

    action: dict[str, Any]
    timeout_s: float | None = Field(default=None, gt=0, description="seconds")
    request_id: str | None = Field(default=None, max_length=255)


class _Result(_Strict):
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
        """Build a status from the two numbers."""
        return cls(active_sessions=active, max_sessions=max_sessions)


class SessionInfo(BaseMessage):
    """One session of a server; times are seconds since 1970."""

    session_id: str
    created_at: float
    last_activity_at: float
    step_count: int = Field(default=0, ge=0)
    environment_type: str
