"""`openenv.core.env_server`: what authors of OpenEnv environments import, with this runtime behind it.

`types`, `interfaces`, `serialization` and the like are OpenEnv's modules by name.
`http_server` makes apps; `call_adapter` calls environments as OpenEnv does,
`json_messages` words messages as it does, `running` is the runtime behind the routes.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from openenv_async.compat.names.lazy import child
from openenv_async.compat.server.base_transforms import CompositeTransform, NullTransform
from openenv_async.compat.server.exceptions import (
    ConcurrencyConfigurationError,
    EnvironmentFactoryError,
    OpenEnvError,
    SessionCapacityError,
    SessionCreationError,
    SessionNotFoundError,
)
from openenv_async.compat.server.http_server import HTTPEnvServer, create_app, create_fastapi_app
from openenv_async.compat.server.interfaces import Environment, Message, ModelTokenizer, TaskProvider, Transform
from openenv_async.compat.server.mcp_types import (
    RESERVED_TOOL_NAMES,
    CallToolAction,
    CallToolObservation,
    JsonRpcError,
    JsonRpcErrorCode,
    JsonRpcRequest,
    JsonRpcResponse,
    ListToolsAction,
    ListToolsObservation,
    McpMethod,
    Tool,
    ToolError,
    ToolErrorType,
    WSMCPMessage,
    WSMCPResponse,
)
from openenv_async.compat.server.route_config import GetEndpointConfig
from openenv_async.compat.server.serialization import (
    deserialize_action,
    deserialize_action_with_preprocessing,
    serialize_observation,
)
from openenv_async.compat.server.types import (
    Action,
    BaseMessage,
    ConcurrencyConfig,
    GetTaskRangeRequest,
    GetTaskRequest,
    HealthResponse,
    HealthStatus,
    ListTasksRequest,
    NumTasksRequest,
    Observation,
    SchemaResponse,
    ServerCapacityStatus,
    ServerMode,
    SessionInfo,
    State,
    WSCloseMessage,
    WSErrorCode,
    WSErrorResponse,
    WSIncomingMessage,
    WSObservationResponse,
    WSResetMessage,
    WSStateMessage,
    WSStateResponse,
    WSStepMessage,
)

__all__ = [
    "RESERVED_TOOL_NAMES",
    "Action",
    "BaseMessage",
    "CallToolAction",
    "CallToolObservation",
    "CompositeTransform",
    "ConcurrencyConfig",
    "ConcurrencyConfigurationError",
    "Environment",
    "EnvironmentFactoryError",
    "GetEndpointConfig",
    "GetTaskRangeRequest",
    "GetTaskRequest",
    "HTTPEnvServer",
    "HealthResponse",
    "HealthStatus",
    "JsonRpcError",
    "JsonRpcErrorCode",
    "JsonRpcRequest",
    "JsonRpcResponse",
    "ListTasksRequest",
    "ListToolsAction",
    "ListToolsObservation",
    "McpMethod",
    "Message",
    "ModelTokenizer",
    "NullTransform",
    "NumTasksRequest",
    "Observation",
    "OpenEnvError",
    "SchemaResponse",
    "ServerCapacityStatus",
    "ServerMode",
    "SessionCapacityError",
    "SessionCreationError",
    "SessionInfo",
    "SessionNotFoundError",
    "State",
    "TaskProvider",
    "Tool",
    "ToolError",
    "ToolErrorType",
    "Transform",
    "WSCloseMessage",
    "WSErrorCode",
    "WSErrorResponse",
    "WSIncomingMessage",
    "WSMCPMessage",
    "WSMCPResponse",
    "WSObservationResponse",
    "WSResetMessage",
    "WSStateMessage",
    "WSStateResponse",
    "WSStepMessage",
    "create_app",
    "create_fastapi_app",
    "deserialize_action",
    "deserialize_action_with_preprocessing",
    "serialize_observation",
]

_LATER = {
    "MCPEnvironment": "mcp_environment",
    "WebInterfaceManager": "web_interface",
    "create_web_interface_app": "web_interface",
}
"""Names that load when they are used: FastMCP takes its time, and is an extra of its own."""

__all__ += [name for name in _LATER if name != "MCPEnvironment" or importlib.util.find_spec("fastmcp") is not None]


def __getattr__(name: str) -> Any:
    module = child("openenv.core.env_server", name)
    if module is not None:
        return module
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} needs {error.name}: pip install 'openenv-async[mcp]'", name=__name__) from error
