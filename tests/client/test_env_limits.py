"""Sizes, tokens and origins, as a client meets them."""

from __future__ import annotations

from typing import Any

import pytest
from requirements import requirement
from support.play_env import PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, serving

from openenv_async import AsyncEnv, Limits
from openenv_async.errors import ConnectFailed, PayloadTooLarge, Unauthorized

WIRES = pytest.mark.parametrize("wire", ["native", "json"])
MIB = 1024 * 1024


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


@requirement("bad-input:too-large", "client:size-limit")
@WIRES
@pytest.mark.parametrize("mib", [0.01, 0.5, 3])
async def test_an_action_above_the_clients_own_limit_is_not_sent(wire: Any, mib: float) -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served, PlayEnv(served.url, wire=wire, max_message_size_mb=mib) as env:
        await env.reset()
        with pytest.raises(PayloadTooLarge, match="the limit is") as large:
            await env.step(PlayAction(op="echo", value="x" * int(mib * MIB)))
        assert large.value.limit == int(mib * MIB)
        assert (await env.state()).step_count == 0
        assert (await env.step(PlayAction(n=1))).observation.total == 1


@requirement("bad-input:too-large", "client:size-limit")
@WIRES
@pytest.mark.parametrize("mib", [0.01, 0.5, 3])
async def test_an_observation_above_the_clients_limit_fails_its_call(wire: Any, mib: float) -> None:
    async with serving(play_app(Journal())) as served, PlayEnv(served.url, wire=wire, max_message_size_mb=mib) as env:
        await env.reset()
        with pytest.raises(PayloadTooLarge, match="the limit is") as large:
            await bounded(env.step(PlayAction(op="huge", value=int(mib * MIB) + 5000)))
        assert large.value.limit == int(mib * MIB)
        result = await env.step(PlayAction(op="huge", value=int(mib * MIB) - 5000))
        assert len(result.observation.value) == int(mib * MIB) - 5000


@requirement("bad-input:too-large")
@WIRES
async def test_the_servers_limit_holds_for_both_directions(wire: Any) -> None:
    async with serving(play_app(Journal(), limits=Limits(max_message_bytes=MIB))) as served:
        async with PlayEnv(served.url, wire=wire) as env:
            await env.reset()
            with pytest.raises(PayloadTooLarge, match="1,048,576 bytes"):
                await env.step(PlayAction(op="echo", value="x" * MIB))
            with pytest.raises(PayloadTooLarge, match="1,048,576 bytes"):
                await env.step(PlayAction(op="huge", value=MIB))
            assert (await env.step(PlayAction(n=1))).observation.total == 1


@requirement("server:token")
@WIRES
async def test_a_token(wire: Any) -> None:
    async with serving(play_app(Journal(), token="s3cret")) as served:
        for options in ({}, {"token": "wrong"}, {"headers": {"Authorization": "Basic s3cret"}}):
            with pytest.raises(Unauthorized, match="token=") as refused:
                await bounded(PlayEnv.connect(served.url, wire=wire, **options))
            assert "s3cret" not in str(refused.value)
        for options in ({"token": "s3cret"}, {"headers": {"Authorization": "Bearer s3cret"}}):
            async with PlayEnv(served.url, wire=wire, **options) as env:
                await env.reset()
                assert "s3cret" not in repr(env) + repr(vars(env))


@requirement("server:token")
@WIRES
async def test_a_token_in_process(wire: Any) -> None:
    app = play_app(Journal(), token="s3cret")
    with pytest.raises(Unauthorized):
        await PlayEnv.connect(app, wire=wire)
    async with PlayEnv(app, wire=wire, token="s3cret") as env:
        await env.reset()


@requirement("server:origin")
@WIRES
async def test_origins_of_web_pages(wire: Any) -> None:
    async with serving(play_app(Journal(), allow_origins=["https://good.example"])) as served:
        evil = (
            "https://evil.example",
            "null",
            "https://good.example.evil.example",
            "http://good.example",
            "http://[::1",
        )
        for origin in evil:
            with pytest.raises(ConnectFailed, match="HTTP 403") as refused:
                await bounded(PlayEnv.connect(served.url, wire=wire, headers={"Origin": origin}))
            assert refused.value.status == 403
        for origin in ("https://good.example", "https://GOOD.example/", served.url):
            async with PlayEnv(served.url, wire=wire, headers={"Origin": origin}) as env:
                await env.reset()
    async with serving(play_app(Journal(), allow_origins=["*"])) as served:
        async with PlayEnv(served.url, wire=wire, headers={"Origin": "https://evil.example"}) as env:
            await env.reset()


@requirement("server:origin")
@WIRES
async def test_a_domain_that_leads_to_this_machine_is_no_origin_of_the_server(wire: Any) -> None:
    """DNS rebinding: a page's own name now resolves to loopback, so that its origin and the host are the same."""
    async with serving(play_app(Journal(), allow_origins=["http://lab.example"])) as served:

        def named(name: str, origin: str = "") -> dict[str, str]:
            return {"Host": f"{name}:{served.port}", "Origin": origin or f"http://{name}:{served.port}"}

        for headers in (named("evil.example"), named("localhost.evil.example"), named("127.0.0.1.evil.example")):
            with pytest.raises(ConnectFailed, match="HTTP 403"):
                await bounded(PlayEnv.connect(served.url, wire=wire, headers=headers))
        fine = [named(name) for name in ("localhost", "LOCALHOST", "lab.localhost", "127.0.0.1", "[::1]", "192.0.2.7")]
        # What is no page has no origin, and may call this machine as it likes.
        for headers in (*fine, named("lab.example", "http://lab.example"), {"Host": f"lab:{served.port}"}):
            async with PlayEnv(served.url, wire=wire, headers=headers) as env:
                await env.reset()
    async with serving(play_app(Journal(), token="s3cret")) as served:
        # A proxy on this machine may have passed the name on; the page has the token from its user.
        async with PlayEnv(served.url, wire=wire, headers=named("lab.example"), token="s3cret") as env:
            await env.reset()
