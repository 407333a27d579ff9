"""`openenv.core.env_server`: what authors of OpenEnv environments import, with this runtime behind it.

`types`, `interfaces`, `serialization` and the like are OpenEnv's modules by name.
`routes` adds an environment's routes to an app, `server_handle` is the runtime
behind them, `call_adapter` calls environments as OpenEnv does, `json_messages` words
messages as it does. Names load when they are used.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from openenv_async.compat.names import child, load

_NAMES = {
    "exceptions": """
        ConcurrencyConfigurationError EnvironmentFactoryError OpenEnvError SessionCapacityError SessionCreationError
        SessionNotFoundError""",
    "http_server": "HTTPEnvServer create_app create_fastapi_app",
    "interfaces": "CompositeTransform Environment Message ModelTokenizer NullTransform TaskProvider Transform",
    "mcp_environment": "MCPEnvironment",
    "mcp_types": """
        RESERVED_TOOL_NAMES CallToolAction CallToolObservation JsonRpcError JsonRpcErrorCode JsonRpcRequest
        JsonRpcResponse ListToolsAction ListToolsObservation McpMethod Tool ToolError ToolErrorType WSMCPMessage
        WSMCPResponse""",
    "route_config": "GetEndpointConfig",
    "serialization": "deserialize_action deserialize_action_with_preprocessing serialize_observation",
    "types": """
        Action BaseMessage ConcurrencyConfig GetTaskRangeRequest GetTaskRequest HealthResponse HealthStatus
        ListTasksRequest NumTasksRequest Observation SchemaResponse ServerCapacityStatus ServerMode SessionInfo State
        WSCloseMessage WSErrorCode WSErrorResponse WSIncomingMessage WSObservationResponse WSResetMessage
        WSStateMessage WSStateResponse WSStepMessage""",
    "web_interface": "WebInterfaceManager create_web_interface_app",
}
"""The public names of OpenEnv's package by the module that has each."""

_HOMES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names.split()}

__all__ = [name for name in _HOMES if name != "MCPEnvironment" or importlib.util.find_spec("fastmcp") is not None]


def __getattr__(name: str) -> Any:
    module = child("openenv.core.env_server", name)
    return module if module is not None else load(sys.modules[__name__], name, _HOMES, {})
