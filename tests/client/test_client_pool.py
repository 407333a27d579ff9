"""Which sessions share a connection, how many there can be, and the addresses that a client takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from requirements import requirement
from support.play_env import AsyncPlay, PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, gathered, serving

from openenv_async import AsyncEnv, Limits
from openenv_async.server.app import EnvApp

WIRES = pytest.mark.parametrize("wire", ["native", "json"])


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


def connections(app: EnvApp) -> int:
    return len(app.server.connections)


async def episode(env: PlayEnv, me: int) -> int:
    await env.connect()
    await env.reset(start=me)
    for _ in range(3):
        result = await env.step(PlayAction(n=1))
    assert result.observation.total == me + 3
    return result.observation.total


@requirement("client:many", "client:shared-connection", "session:own-environment")
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_512_clients_at_once_on_one_connection(execution: Any) -> None:
    journal = Journal()
    app = play_app(journal, execution, limits=Limits(max_sessions=512))
    async with serving(app) as served:
        envs = [PlayEnv(served.url) for _ in range(512)]
        # Seconds of a loop in debug mode, where each of so many threads leaves a stack.
        totals = await bounded(asyncio.gather(*(episode(env, me) for me, env in enumerate(envs))), 60)
        assert totals == [me + 3 for me in range(512)]
        assert connections(app) == 1
        assert len({env.session_id for env in envs}) == 512
        assert app.server.registry.active == 512
        await gathered([env.close() for env in envs])
        assert app.server.registry.active == 0
    assert (journal.count("built"), journal.count("closed")) == (512, 512)


@requirement("client:many")
async def test_64_clients_of_the_json_wire() -> None:
    app = play_app(Journal())
    async with serving(app) as served:
        envs = [PlayEnv(served.url, wire="json") for _ in range(64)]
        await gathered([episode(env, me) for me, env in enumerate(envs)])
        assert connections(app) == 64
        await gathered([env.close() for env in envs])


@requirement("client:shared-connection")
async def test_servers_headers_and_sizes_have_connections_of_their_own() -> None:
    apps = play_app(Journal()), play_app(Journal())
    async with serving(apps[0]) as one, serving(apps[1]) as two:
        envs = [
            *(PlayEnv(one.url) for _ in range(3)),
            *(PlayEnv(one.url, headers={"x-team": "a"}) for _ in range(3)),
            *(PlayEnv(one.url, headers={"x-team": "b"}) for _ in range(3)),
            PlayEnv(one.url, max_message_size_mb=1),
            *(PlayEnv(two.url) for _ in range(3)),
        ]
        await gathered([episode(env, me) for me, env in enumerate(envs)])
        assert (connections(apps[0]), connections(apps[1])) == (4, 1)
        await gathered([env.close() for env in envs])


@requirement("client:shared-connection")
async def test_a_connection_ends_with_its_last_session_and_the_next_opens_another() -> None:
    app = play_app(Journal())
    async with serving(app) as served:
        for _ in range(3):
            first, second = PlayEnv(served.url), PlayEnv(served.url)
            await episode(first, 1)
            await episode(second, 2)
            await first.close()
            assert (await second.step(PlayAction(n=1))).observation.total == 6
            assert connections(app) == 1
            await second.close()
        async with PlayEnv(served.url) as env:
            await env.reset()
            assert connections(app) <= 2  # the old one may still be saying goodbye


@requirement("client:shared-connection")
async def test_closing_and_opening_in_the_same_turn_keeps_the_connection() -> None:
    app = play_app(Journal())
    async with serving(app) as served:
        env = await PlayEnv.connect(served.url)
        for me in range(20):
            following = PlayEnv(served.url)
            await bounded(asyncio.gather(env.close(), episode(following, me)))
            env = following
        await env.close()


class Named(AsyncPlay):
    """Built without arguments, as a class played in process must be."""

    def __init__(self) -> None:
        super().__init__(Journal())


@requirement("client:targets")
@WIRES
@pytest.mark.parametrize("form", ["http", "ws", "http slash", "ws path", "bare", "localhost"])
async def test_addresses(form: str, wire: Any) -> None:
    async with serving(play_app(Journal())) as served:
        url = {
            "http": served.url,
            "ws": served.url.replace("http", "ws"),
            "http slash": served.url + "/",
            "ws path": served.url.replace("http", "ws") + "/ws",
            "bare": f"127.0.0.1:{served.port}",
            "localhost": f"http://localhost:{served.port}",
        }[form]
        async with PlayEnv(url, wire=wire) as env:
            assert env.connected
            assert env.base_url == url.rstrip("/")
            assert await episode(env, 4) == 7
            assert (env.session_id is None) == (wire == "json")


@requirement("client:targets")
@WIRES
async def test_a_unix_socket(tmp_path: Path, wire: Any) -> None:
    path = tmp_path / "env.sock"
    async with serving(play_app(Journal()), f"unix:{path}"):
        for url in (f"unix:{path}", f"unix://{path}"):
            async with PlayEnv(url, wire=wire) as env:
                assert await episode(env, 1) == 4


@requirement("client:targets")
@WIRES
async def test_an_app_in_process(wire: Any) -> None:
    journal = Journal()
    async with PlayEnv(play_app(journal), wire=wire) as env:
        assert env.base_url is None
        assert await episode(env, 1) == 4
    assert (journal.count("built"), journal.count("closed")) == (1, 1)


@requirement("client:targets")
@WIRES
async def test_a_class_in_process(wire: Any) -> None:
    async with PlayEnv(Named, wire=wire) as env, AsyncEnv[Any, Any, Any](Named, wire=wire) as untyped:
        assert await episode(env, 1) == 4
        await untyped.reset(start=5)
        result = await untyped.step({"n": 2})
        assert result.observation["total"] == 7


async def test_an_app_in_process_many_times_at_once() -> None:
    app = play_app(Journal(), limits=Limits(max_sessions=64))
    envs = [PlayEnv(app) for _ in range(64)]
    await gathered([episode(env, me) for me, env in enumerate(envs)])
    assert connections(app) == 1
    await gathered([env.close() for env in envs])
    assert app.server.registry.active == 0


@requirement("client:openenv-server")
async def test_the_wire_that_was_asked_for_or_none() -> None:
    from support.scripted_servers import JsonPeer, json_server, observation

    from openenv_async.errors import ConnectFailed

    async def script(peer: JsonPeer) -> None:
        await peer.request()
        await peer.send(observation(total=1))

    async with json_server(script) as url:
        with pytest.raises(ConnectFailed, match="does not speak the native wire"):
            await bounded(AsyncEnv.connect(url, wire="native"))
        async with AsyncEnv[Any, Any, Any](url) as env:
            assert (await env.reset()).observation == {"total": 1}
            assert env.session_id is None
        with pytest.raises(ConnectFailed, match="does not speak the native wire"):
            await bounded(AsyncEnv.connect(url, wire="native"))


@requirement("client:no-proxy")
@WIRES
async def test_a_proxy_of_the_environment_is_for_other_machines(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(play_app(Journal())) as served, PlayEnv(served.url, wire=wire) as env:
        assert await episode(env, 1) == 4
