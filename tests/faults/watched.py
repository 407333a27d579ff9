"""The app that `openenv serve` serves for the tests of faults: counting environments, and a look inside.

`GET /faults` gives what the process holds and what its environments have done. `FAULT_APP` in the
environment has the app's options as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from support.counting_env import AsyncCounting, CountAction, Counting, CountObservation, CountState, Record

from openenv_async import Limits, create_app
from openenv_async.server.app import EnvApp

PATH = "/faults"
OPTIONS = "FAULT_APP"


class Watched:
    """An app, and its `PATH`."""

    def __init__(self, app: EnvApp, record: Record) -> None:
        self.app, self.server, self.record = app, app.server, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            await JSONResponse(self.look())(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def look(self) -> dict[str, Any]:
        counts, executed = self.record.shown()
        return {
            "counts": counts,
            "executed": executed,
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "sessions": len(self.server.registry.sessions),
            "active": self.server.registry.active,
            "connections": len(self.server.connections),
        }


def make(execution: str = "inline", forgets: bool = False, **limits: Any) -> Watched:
    """Make the app; `forgets`: no record of sessions that have ended."""
    record = Record()
    cls = AsyncCounting if execution == "inline" else Counting
    app = create_app(
        lambda: cls(record, forgets),
        CountAction,
        CountObservation,
        "counting",
        state_cls=CountState,
        execution=execution,
        limits=Limits(**limits),
    )
    return Watched(app, record)


app = make(**json.loads(os.environ.get(OPTIONS, "{}")))
