"""OpenEnv's client classes have no public name, and no constructor argument, that ours lack."""

from __future__ import annotations

import inspect
import json
import subprocess
from typing import Any

from requirements import requirement
from support.openenv_peer import peer

from openenv_async.compat.client.env_client import EnvClient
from openenv_async.compat.client.generic_client import GenericEnvClient
from openenv_async.compat.client.mcp_client import MCPToolClient
from openenv_async.compat.client.sync_client import SyncEnvClient

CLASSES: tuple[type[Any], ...] = (EnvClient, GenericEnvClient, MCPToolClient, SyncEnvClient)

PROBE = """
import inspect, json
from openenv.core import EnvClient, GenericEnvClient, MCPToolClient, SyncEnvClient
def names(cls):
    public = lambda name: name[0] != "_" or name in ("__enter__", "__exit__", "__aenter__", "__aexit__")
    return sorted(name for base in cls.__mro__ for name in vars(base) if public(name))
def arguments(cls):
    return [[p.name, repr(p.default)] for p in inspect.signature(cls).parameters.values()]
print(json.dumps({cls.__name__: [names(cls), arguments(cls)]
    for cls in (EnvClient, GenericEnvClient, MCPToolClient, SyncEnvClient)}))
"""


@requirement("compat-client:constructor")
def test_nothing_of_openenvs_is_missing() -> None:
    done = subprocess.run([peer(), "-c", PROBE], capture_output=True, text=True, timeout=60, check=True)
    for ours in CLASSES:
        names, arguments = json.loads(done.stdout)[ours.__name__]
        assert [name for name in names if not hasattr(ours, name)] == []
        mine = [[each.name, repr(each.default)] for each in inspect.signature(ours).parameters.values()]
        # A provider may start the server of tools, too: base_url may be left out.
        required = [argument for argument in arguments if argument != ["base_url", repr(inspect.Parameter.empty)]]
        assert [argument for argument in required if argument not in mine] == []
