"""`openenv.core.env_server.types`: the models by the names that authors import."""

from __future__ import annotations

from pydantic import BaseModel as BaseModel
from pydantic import ConfigDict as ConfigDict
from pydantic import Field as Field

from openenv_async.compat.server.messages import (
    WSCloseMessage,
    WSErrorResponse,
    WSIncomingMessage,
    WSObservationResponse,
    WSResetMessage,
    WSStateMessage,
    WSStateResponse,
    WSStepMessage,
)
from openenv_async.compat.server.models import (
    Action,
    BaseMessage,
    CodeExecResult,
    EnvironmentMetadata,
    HealthStatus,
    Observation,
    Scalar,
    ServerMode,
    State,
    WSErrorCode,
)
from openenv_async.compat.server.request_body import (
    ConcurrencyConfig,
    GetTaskRangeRequest,
    GetTaskRequest,
    HealthResponse,
    ListTasksRequest,
    NumTasksRequest,
    ResetRequest,
    ResetResponse,
    SchemaResponse,
    ServerCapacityStatus,
    SessionInfo,
    StepRequest,
    StepResponse,
)

__all__ = [
    "Action",
    "BaseMessage",
    "CodeExecResult",
    "ConcurrencyConfig",
    "EnvironmentMetadata",
    "GetTaskRangeRequest",
    "GetTaskRequest",
    "HealthResponse",
    "HealthStatus",
    "ListTasksRequest",
    "NumTasksRequest",
    "Observation",
    "ResetRequest",
    "ResetResponse",
    "Scalar",
    "SchemaResponse",
    "ServerCapacityStatus",
    "ServerMode",
    "SessionInfo",
    "State",
    "StepRequest",
    "StepResponse",
    "WSCloseMessage",
    "WSErrorCode",
    "WSErrorResponse",
    "WSIncomingMessage",
    "WSObservationResponse",
    "WSResetMessage",
    "WSStateMessage",
    "WSStateResponse",
    "WSStepMessage",
]
