"""A hundred environments, of which a third come to a bad end at random steps: the rest play on and lose nothing."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Any

import pytest
from requirements import requirement
from support.risky_env import Risky, nothing_left, playing, risky_app, running
from support.servers import bounded, gathered
from support.shared_journal import gone, until

from openenv_async import AsyncEnv
from openenv_async.errors import EnvironmentCrashed, EnvironmentFailed, SessionBroken, StepTimeout
from openenv_async.limits import Limits

SESSIONS, STEPS, DEADLINE_S = 100, 40, 0.5
MIB = 2**20

ENDS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"do": "sleep"}, StepTimeout),
    ({"do": "spin"}, StepTimeout),
    ({"do": "exit", "value": 3}, EnvironmentCrashed),
    ({"do": "segfault"}, EnvironmentCrashed),
    ({"do": "kill", "value": int(signal.SIGKILL)}, EnvironmentCrashed),
    ({"do": "everything"}, EnvironmentFailed),
]


class Careless(Risky):
    memory_limit_mb = 256


async def play(client: AsyncEnv[Any, Any, Any], end: tuple[dict[str, Any], type[Exception]] | None, last: int) -> None:
    """Play an episode and check that no step is lost or done twice; its end may be a bad one."""
    pid = 0
    for count in range(1, last + 1):
        seen = (await client.step({})).observation
        assert seen["count"] == count
        pid = seen["pid"]
    if end is None:
        return
    action, error = end
    with pytest.raises(error) as caught:
        await client.step(action, timeout_s=DEADLINE_S if error is StepTimeout else None)
    if isinstance(caught.value, StepTimeout):
        # What hangs for ever was ended by its deadline, and its process with it.
        assert caught.value.session_usable is False
    if error is not EnvironmentFailed:
        with pytest.raises(SessionBroken):
            await client.step({})
        await gone([pid] if pid else [])
    await client.reset()
    again = (await client.step({})).observation
    assert again["count"] == 1
    assert error is EnvironmentFailed or again["pid"] != pid


@requirement("process:others", "process:no-orphans", "slot:freed", "session:hang-contained")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_the_rest_of_a_hundred_lose_nothing(seed: int) -> None:
    dice = random.Random(seed)
    app = risky_app(Careless, Limits(max_sessions=SESSIONS, close_timeout_s=5.0, queue_timeout_s=20.0))
    async with nothing_left(), running(app), playing(app, SESSIONS) as clients:
        ends = [ENDS[number % len(ENDS)] if number % 3 == 0 else None for number in range(SESSIONS)]
        dice.shuffle(ends)
        await bounded(
            asyncio.gather(
                *(
                    play(client, end, STEPS if end is None else dice.randrange(STEPS))
                    for client, end in zip(clients, ends, strict=True)
                )
            ),
            60,
        )
        assert app.server.registry.active == SESSIONS


@requirement("process:hang", "slot:freed")
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_every_slot_is_back_after_its_deadline() -> None:
    app = risky_app(limits=Limits(max_sessions=12, close_timeout_s=5.0))
    async with nothing_left(), running(app), playing(app, 12) as clients:
        results = await asyncio.gather(
            *(client.step({"do": "sleep"}, timeout_s=0.2) for client in clients), return_exceptions=True
        )
        assert all(isinstance(result, StepTimeout) for result in results)
        await until(lambda: app.server.registry.active == 0, "slots are held")
        await gathered([client.reset() for client in clients])
