"""A session that is closed before its task has taken its first step ends like any other."""

from __future__ import annotations

import asyncio

from openenv_async import Observation, State
from openenv_async.codec import codec_for, observation_codec_for
from openenv_async.limits import Limits
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import RequestSession


async def test_its_sink_hears_the_end_and_nothing_is_left() -> None:
    blueprint = Blueprint(
        factory=object,
        name="none",
        action=codec_for(dict),
        observation=observation_codec_for(Observation),
        state=codec_for(State),
        execution=None,
    )
    registry = Registry(blueprint, Limits(), 1)
    direct = RequestSession()
    direct.session = registry.open(direct)
    direct.session.close()
    await asyncio.wait_for(direct.over, 5)
    assert (registry.active, dict(registry.sessions)) == (0, {})
