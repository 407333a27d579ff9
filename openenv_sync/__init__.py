"""Step an environment from code without `await`: scripts, notebooks, threads.

`SyncEnv` is `openenv_async.AsyncEnv` with the same methods, run on one background event loop per process.
"""

from __future__ import annotations

from openenv_sync.client import SyncEnv

__all__ = ["SyncEnv"]
