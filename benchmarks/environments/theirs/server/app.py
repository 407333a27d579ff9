# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""The app that `uvicorn server.app:app` runs. `OPENENV_BENCH_ENV` names the environment to serve."""

import importlib
import os

import models
from openenv.core.env_server.http_server import create_app

CATALOGUE = {
    "async-echo": ("echo", "AsyncEcho", "EchoAction", "EchoObservation"),
    "sync-echo": ("echo", "SyncEcho", "EchoAction", "EchoObservation"),
    "bytes": ("payload", "BytesEnvironment", "PayloadAction", "BytesObservation"),
    "array": ("payload", "ArrayEnvironment", "PayloadAction", "ArrayObservation"),
}

_home, _env, _action, _observation = CATALOGUE[os.environ.get("OPENENV_BENCH_ENV", "async-echo")]

app = create_app(
    getattr(importlib.import_module(_home), _env),
    getattr(models, _action),
    getattr(models, _observation),
    env_name="bench",
    max_concurrent_envs=8192,
)
