"""Processes of environments are counted: started, crashed, killed."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from requirements import requirement
from support.logs_and_metrics import listening, scrape
from support.servers import serving

from openenv_async import AsyncEnv, Environment, create_app
from openenv_async.errors import EnvironmentCrashed, StepTimeout


class Risky(Environment[Any, Any, Any]):
    execution = "process"

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return {}

    def step(self, action: Any) -> Any:
        if action.get("exit") is not None:
            os._exit(action["exit"])
        time.sleep(action.get("sleep", 0))
        return {}

    @property
    def state(self) -> Any:
        return {}


@requirement("metrics:processes")
async def test_started_crashed_and_killed_processes_are_counted() -> None:
    with listening() as lines:
        async with serving(create_app(Risky, dict, dict)) as served:
            async with AsyncEnv[Any, Any, Any](served.url) as calm:
                await calm.reset()
                await calm.step({})
            found = await scrape(served.url)
            assert found.value("openenv_processes_started_total") >= 1
            assert found.value("openenv_processes_crashed_total") == 0
            assert found.value("openenv_processes_killed_total") == 0
            crashed: list[Any] = []
            for code in (3, 0):
                async with AsyncEnv[Any, Any, Any](served.url) as env:
                    await env.reset()
                    crashed.append(env.session_id)
                    with pytest.raises(EnvironmentCrashed):
                        await env.step({"exit": code})
            async with AsyncEnv[Any, Any, Any](served.url) as env:
                await env.reset()
                with pytest.raises(StepTimeout):
                    await env.step({"sleep": 60}, timeout_s=0.1)
            found = await scrape(served.url)
            assert found.value("openenv_processes_crashed_total") == 2
            assert found.value("openenv_processes_killed_total") == 1
            assert found.value("openenv_deadlines_total", call="step") == 1
            assert found.value("openenv_errors_total", code="ENV_CRASHED") == 2
            assert found.value("openenv_processes", state="in_use") == 0
    assert [record.session_id for record in lines.find("environment_crashed")] == crashed  # type: ignore[attr-defined]
