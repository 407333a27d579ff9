"""The app that `openenv serve` finds.

`OPENENV_BENCH_ENV` names the environment to serve; `OPENENV_BENCH_LOOP=asyncio` serves it without uvloop.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from openenv_async import create_app

PACKAGE = "benchmarks.environments.ours"
CATALOGUE = {
    "async-echo": ("echo", "AsyncEcho", "echo", "EchoAction", "EchoObservation"),
    "sync-echo": ("echo", "SyncEcho", "echo", "EchoAction", "EchoObservation"),
    "busy-echo": ("busy", "BusyEcho", "echo", "EchoAction", "EchoObservation"),
    "bytes": ("payload", "BytesEnvironment", "models", "PayloadAction", "BytesObservation"),
    "array": ("payload", "ArrayEnvironment", "models", "PayloadAction", "ArrayObservation"),
    "cartpole": ("cartpole", "CartPole", "cartpole", "PushAction", "CartObservation"),
}

if os.environ.get("OPENENV_BENCH_LOOP") == "asyncio":
    # As if it were not installed. The server makes its loop after it has imported the app.
    hidden: dict[str, Any] = {"uvloop": None}
    sys.modules.update(hidden)

# Imported by name, so that a server imports nothing that its own environment does not need.
_home, _env, _models, _action, _observation = CATALOGUE[os.environ.get("OPENENV_BENCH_ENV", "async-echo")]
_module = importlib.import_module(f"{PACKAGE}.{_home}")
_values = importlib.import_module(f"{PACKAGE}.{_models}")

app = create_app(
    getattr(_module, _env),
    getattr(_values, _action),
    getattr(_values, _observation),
    env_name="bench",
    max_concurrent_envs=8192,
)
