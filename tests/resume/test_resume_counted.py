"""What goes wrong is counted: deadlines, refusals, connections that are lost and sessions that go on."""

from __future__ import annotations

from typing import Any

import pytest
from cutting import bench, step
from requirements import requirement
from support.logs_and_metrics import scrape
from support.play_env import PlayAction

from openenv_async import AsyncEnv
from openenv_async.errors import CapacityError, StepTimeout


@requirement("metrics:trouble")
async def test_deadlines_full_servers_and_lost_connections_are_counted() -> None:
    async with bench("inline", max_sessions=1, queue_timeout_s=0.05) as place:
        env = await place.playing()
        with pytest.raises(StepTimeout):
            await env.step(PlayAction(op="wait"), timeout_s=0.05)
        with pytest.raises(CapacityError):
            await AsyncEnv[Any, Any, Any](place.url).open()
        place.way.cut()
        assert await step(env) == 1
        found = await scrape(place.url)
        assert found.value("openenv_deadlines_total", call="step") == 1
        assert found.value("openenv_errors_total", code="TIMEOUT") == 1
        assert found.value("openenv_errors_total", code="CAPACITY_REACHED") == 1
        assert found.value("openenv_sessions_refused_total") == 1
        assert found.value("openenv_sessions_detached_total") == 1
        assert found.value("openenv_sessions_resumed_total") == 1
        assert found.value("openenv_connections_opened_total", wire="native") >= 2
        await env.close()
