"""A server process that is killed: its sessions are lost, every one of them, and nothing goes on by itself."""

from __future__ import annotations

import asyncio

import pytest
from cutting import PlayEnv, step
from processes import server_process
from requirements import requirement
from support.servers import bounded, gathered

from openenv_async.errors import SessionLost


@requirement("resume:restarted-server", "session:fails-loudly", "client:reset-reopens")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_every_session_of_a_killed_server_is_lost_and_only_reset_goes_on() -> None:
    async with server_process() as (process, port):
        envs = [PlayEnv(f"http://127.0.0.1:{port}") for _ in range(16)]
        await gathered([env.connect() for env in envs])
        await gathered([env.reset(start=me) for me, env in enumerate(envs)])
        playing = [asyncio.create_task(_play_on(env)) for env in envs[:8]]
        await asyncio.sleep(0)
        process.kill()
        await bounded(process.wait())
        async with server_process(port):
            for lost in await bounded(asyncio.gather(*playing, return_exceptions=True)):
                assert isinstance(lost, SessionLost)
                assert "started anew" in str(lost)
            for env in envs:
                for _ in range(2):
                    with pytest.raises(SessionLost, match=r"reset\(\)"):
                        await bounded(step(env))
                    with pytest.raises(SessionLost, match=r"reset\(\)"):
                        await bounded(env.state())
            await gathered([env.reset(start=5) for env in envs])
            assert await gathered([step(env) for env in envs]) == [6] * 16
            await gathered([env.close() for env in envs])


async def _play_on(env: PlayEnv) -> None:
    while True:
        await step(env)
