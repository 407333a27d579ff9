"""The module names of OpenEnv 0.10.0 that this runtime answers, each with the module of ours that stands for it.

`MODULES` is the whole list. A name with others below it is a package to the import
system, even if our module is not. `ABSENT` are modules that 0.10.0 has and this
package does not, each with what to do instead. Any other name fails as it does in
0.10.0: it does not exist. `finder` reads these tables.
"""

from __future__ import annotations

_SERVER = "openenv_async.compat.server"
_CLIENT = "openenv_async.compat.client"
_RUBRICS = "openenv_async.compat.rubrics"
_TOOLS = "openenv_async.compat.tools"

MODULES: dict[str, str] = {
    "openenv": "openenv_async.compat.names.openenv",
    "openenv.core": "openenv_async.compat.names.core",
    # What authors import.
    "openenv.core.env_server": f"{_SERVER}",
    "openenv.core.env_server.base_transforms": f"{_SERVER}.interfaces",
    "openenv.core.env_server.exceptions": f"{_SERVER}.exceptions",
    "openenv.core.env_server.http_server": f"{_SERVER}.http_server",
    "openenv.core.env_server.interfaces": f"{_SERVER}.interfaces",
    "openenv.core.env_server.mcp_environment": f"{_SERVER}.mcp_environment",
    "openenv.core.env_server.mcp_types": f"{_SERVER}.mcp_types",
    "openenv.core.env_server.route_config": f"{_SERVER}.route_config",
    "openenv.core.env_server.serialization": f"{_SERVER}.serialization",
    "openenv.core.env_server.types": f"{_SERVER}.types",
    "openenv.core.env_server.web_interface": f"{_SERVER}.web_interface",
    "openenv.core.tools": f"{_TOOLS}",
    "openenv.core.tools.git_server_client": f"{_TOOLS}.git_server_client",
    "openenv.core.tools.local_python_executor": f"{_TOOLS}.local_python_executor",
    # What trainers import.
    "openenv.core.client_types": f"{_CLIENT}.client_types",
    "openenv.core.containers": f"{_CLIENT}.containers",
    "openenv.core.containers.runtime": f"{_CLIENT}.containers.runtime",
    "openenv.core.containers.runtime.providers": f"{_CLIENT}.containers.providers",
    "openenv.core.containers.runtime.uv_provider": f"{_CLIENT}.containers.uv_provider",
    "openenv.core.env_client": f"{_CLIENT}.env_client",
    "openenv.core.generic_client": f"{_CLIENT}.generic_client",
    "openenv.core.mcp_client": f"{_CLIENT}.mcp_client",
    "openenv.core.rubrics": f"{_RUBRICS}",
    "openenv.core.rubrics.base": f"{_RUBRICS}.base",
    "openenv.core.rubrics.containers": f"{_RUBRICS}.containers",
    "openenv.core.rubrics.llm_judge": f"{_RUBRICS}.llm_judge",
    "openenv.core.rubrics.trajectory": f"{_RUBRICS}.trajectory",
    "openenv.core.sync_client": f"{_CLIENT}.sync_client",
    "openenv.core.utils": f"{_CLIENT}.utils",
    # The older name: its children are those of `openenv.core`, see `OLD_CHILDREN`.
    "openenv_core": "openenv_async.compat.names.openenv_core",
}

OLD_NAME = "openenv_core"
NEW_NAME = "openenv.core"

OLD_CHILDREN = ("client_types", "containers", "env_client", "env_server", "rubrics", "tools", "utils")
"""The modules of `openenv_core`; it never had the newer modules of `openenv.core`."""

TOP_NAMES = ("openenv", OLD_NAME)

_REAL = "`pip install openenv==0.10.0` brings the original"

ABSENT: dict[str, str] = {
    "openenv.auto": "name the client class of the environment, or use openenv.core.GenericEnvClient",
    "openenv.cli": "use the `openenv` command of openenv-async (python -m openenv_async.cli)",
    "openenv.discovery": f"search the Hub with huggingface_hub; {_REAL}",
    "openenv.harbor": _REAL,
    "openenv.validation": "use `openenv validate` of openenv-async",
    "openenv.core.containers.runtime.aca_provider": "use LocalDockerProvider or UVProvider",
    "openenv.core.containers.runtime.daytona_provider": "use LocalDockerProvider or UVProvider",
    "openenv.core.containers.runtime.hf_sandbox_provider": "use LocalDockerProvider or UVProvider",
    "openenv.core.containers.runtime.modal_provider": "use LocalDockerProvider or UVProvider",
    "openenv.core.containers.runtime.novita_provider": "use LocalDockerProvider or UVProvider",
    "openenv.core.env_server.gradio_theme": "build your page with gradio and mount it on the app",
    "openenv.core.env_server.gradio_ui": "build your page with gradio and mount it on the app",
    "openenv.core.evals": _REAL,
    "openenv.core.harness": _REAL,
    "openenv.core.llm_client": "call the model with its provider's own package, such as openai",
}
"""What to do instead of a module of 0.10.0, and of the modules below it, that this package does not have."""


def new_name(name: str) -> str | None:
    """Return the current name of a module below `openenv_core`, or `None` where it never had such a module."""
    child = name.removeprefix(f"{OLD_NAME}.")
    if child.partition(".")[0] not in OLD_CHILDREN:
        return None
    return f"{NEW_NAME}.{child}"


def alternative(name: str) -> str | None:
    """Return what to do instead of an absent module, or `None` where 0.10.0 has no such module either."""
    while name:
        if name in ABSENT:
            return ABSENT[name]
        name = name.rpartition(".")[0]
    return None


def is_package(name: str) -> bool:
    """Return whether other modules are below this one."""
    return any(known.startswith(f"{name}.") for known in (*MODULES, *ABSENT)) or name == OLD_NAME
