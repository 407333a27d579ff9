"""The base classes of an author's values, with the configuration and the schemas that OpenEnv publishes.

The docstrings of `Action`, `Observation` and `State` and the descriptions of their
fields are part of the wire format: `/schema` answers with them. So is how their
annotations are spelled: a subclass made with `@dataclass` is described by its signature.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Optional  # noqa: UP035 - see above

from pydantic import BaseModel, ConfigDict, Field

Scalar = int | float | bool


class ServerMode(str, Enum):  # noqa: UP042 - `str(mode)` is what it is on 0.10.0
    """Which routes a server has: all, or those that do not control an episode over HTTP."""

    SIMULATION = "simulation"
    PRODUCTION = "production"


class HealthStatus(str, Enum):  # noqa: UP042
    """What `/health` may say."""

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
    """Base of the messages and settings: no unknown keys, checked on assignment too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class CodeExecResult(BaseMessage):
    """What running a piece of code gave."""

    stdout: str
    stderr: str
    exit_code: int


class EnvironmentMetadata(BaseMessage):
    """What an environment says of itself, at `/metadata`."""

    name: str
    description: str
    readme_content: str | None = None
    version: str | None = None
    author: str | None = None
    documentation_url: str | None = None
