"""A step on a connection that has had no reset: OpenEnv's client sends it when it has lost an episode unknowingly."""

from __future__ import annotations

from requirements import requirement
from support.play_env import play_app
from support.raw_clients import raw_json
from support.servers import Journal, serving


@requirement("json:early-step")
async def test_the_reply_to_an_early_step_says_that_its_environment_is_fresh() -> None:
    async with serving(play_app(Journal())) as served, raw_json(served.url) as client:
        early = await client.step(n=1)
        assert early.total == 1
        [warning] = early.details["warnings"]
        assert "no reset came before this step" in warning and "fresh environment" in warning
        assert (await client.state()).total == 1
        assert (await client.reset()).details["warnings"] == []
        assert (await client.step(n=1)).details["warnings"] == []
