"""`from_docker_image` on a real engine: played, bounded, swept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from provided import BOUND_S, containers, owner
from support.docker_fixtures import Built, docker

from openenv_async import AsyncEnv
from openenv_async.errors import ServerNotStarted
from openenv_async.providers import DockerProvider

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


async def test_an_image_is_played_and_its_container_removed(template_image: Built) -> None:
    async with asyncio.timeout(BOUND_S):
        env = await AsyncEnv.from_docker_image(template_image.tag, env_vars={"WHO": "me"}, memory=512 * 2**20, cpus=1.0)
        async with env:
            await env.reset(seed=1)
            (name,) = containers()
            limits = docker("inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", name)
            assert limits == f"{512 * 2**20} 1000000000"
            assert "WHO=me" in docker("inspect", "--format", "{{.Config.Env}}", name)
    assert containers() == []


async def test_several_start_at_once(template_image: Built) -> None:
    async with asyncio.timeout(3 * BOUND_S):
        envs = await asyncio.gather(*(AsyncEnv.from_docker_image(template_image.tag) for _ in range(6)))
        assert len({env.base_url for env in envs}) == 6
        await asyncio.gather(*(env.reset() for env in envs))
        await asyncio.gather(*(env.close() for env in envs))
    assert containers() == []


async def test_one_that_dies_before_it_is_healthy_is_reported_with_its_log(
    template_image: Built, tmp_path: Path
) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text(f'FROM {template_image.tag}\nCMD ["python", "-c", "raise SystemExit(\'no licence\')"]\n', "utf-8")
    docker("build", "--quiet", "--tag", "openenv-test-broken", str(tmp_path))
    try:
        with pytest.raises(ServerNotStarted, match="exit code 1") as failed:
            await asyncio.wait_for(AsyncEnv.from_docker_image("openenv-test-broken"), BOUND_S)
        assert "no licence" in failed.value.logs
    finally:
        docker("rmi", "--force", "openenv-test-broken", check=False)
    assert containers() == []


async def test_one_that_never_becomes_healthy_is_given_up(template_image: Built) -> None:
    with pytest.raises(ServerNotStarted, match="was not healthy within"):
        await asyncio.wait_for(DockerProvider(template_image.tag, container_port=9, start_timeout_s=2).start(), BOUND_S)
    assert containers() == []


async def test_a_cancelled_start_leaves_no_container(template_image: Built) -> None:
    task = asyncio.create_task(DockerProvider(template_image.tag, container_port=9).start())
    async with asyncio.timeout(BOUND_S):
        while not containers():  # noqa: ASYNC110 - the engine offers nothing to wait for
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task], timeout=BOUND_S)
    assert task.cancelled()
    assert containers() == []


async def test_the_container_of_a_killed_owner_is_swept_by_the_next_start(template_image: Built) -> None:
    code = f"""
        import asyncio
        from openenv_async.providers import DockerProvider
        async def main():
            print(await DockerProvider({template_image.tag!r}).start(), flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    process, _ = await owner(code)
    process.kill()
    await asyncio.wait_for(process.wait(), BOUND_S)
    (orphan,) = containers()
    async with asyncio.timeout(BOUND_S), DockerProvider(template_image.tag):
        assert orphan not in containers()
    assert containers() == []


async def test_no_engine_is_a_sentence_that_says_what_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/docker.sock")
    with pytest.raises(ServerNotStarted, match="no Docker engine answers at unix:///no/such/docker.sock") as failed:
        await asyncio.wait_for(AsyncEnv.from_docker_image("any"), BOUND_S)
    assert "systemctl start docker" in str(failed.value)
