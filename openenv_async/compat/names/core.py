"""The front of `openenv.core`: the clients, and every name of `openenv.core.env_server`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from openenv_async.compat.modules import ABSENT, MODULES
from openenv_async.compat.names import child, load

_CLIENTS = {
    "EnvClient": "env_client",
    "GenericAction": "generic_client",
    "GenericEnvClient": "generic_client",
    "MCPClientBase": "mcp_client",
    "MCPToolClient": "mcp_client",
    "SyncEnvClient": "sync_client",
}
_HOMES = {name: MODULES[f"openenv.core.{module}"] for name, module in _CLIENTS.items()}
_LLM = ("AnthropicClient", "LLMClient", "LLMResponse", "OpenAIClient", "ToolCall", "create_llm_client")
_ABSENT = dict.fromkeys(_LLM, ABSENT["openenv.core.llm_client"])
_SERVER = MODULES["openenv.core.env_server"]


def __getattr__(name: str) -> Any:
    module = child("openenv.core", name)
    if module is not None:
        return module
    if name in _HOMES or name in _ABSENT:
        return load(sys.modules[__name__], name, _HOMES, _ABSENT)
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    server = importlib.import_module(_SERVER)
    if name == "__all__":
        return [*_HOMES, *server.__all__]
    try:
        value = getattr(server, name)
    except AttributeError:
        raise AttributeError(f"module 'openenv.core' has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
