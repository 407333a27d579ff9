"""OpenEnv's providers over ours: Docker and uv on this machine, and what is said of those that there are not."""

from __future__ import annotations

import asyncio
import importlib
import textwrap
from pathlib import Path
from typing import Any

import pytest
from requirements import requirement
from support.docker_fixtures import Built, docker

from openenv_async.cli.names import parse_name
from openenv_async.cli.project import create_project
from openenv_async.compat.client.containers import providers, runtime
from openenv_async.compat.client.containers.providers import LocalDockerProvider
from openenv_async.compat.client.containers.uv_provider import UVProvider
from openenv_async.compat.client.generic_client import GenericEnvClient
from openenv_async.providers.container_labels import LABEL

BOUND_S = 180.0


def containers() -> list[str]:
    return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}").split()


@requirement("compat-client:providers")
def test_an_image_is_played_and_its_container_removed(template_image: Built) -> None:
    env = GenericEnvClient.from_docker_image(template_image.tag, env_vars={"WHO": "me"}, memory=512 * 2**20)
    assert env.reset(seed=1).done is False
    (name,) = containers()
    assert docker("inspect", "--format", "{{.HostConfig.Memory}}", name) == str(512 * 2**20)
    assert "WHO=me" in docker("inspect", "--format", "{{.Config.Env}}", name)
    env.close()
    assert containers() == []


@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_an_image_is_played_by_async_code(template_image: Built) -> None:
    async with asyncio.timeout(BOUND_S):
        async with await GenericEnvClient.from_docker_image(template_image.tag) as env:
            await env.reset()
    assert await asyncio.to_thread(containers) == []


@requirement("compat-client:providers")
def test_the_docker_provider_by_itself(template_image: Built) -> None:
    provider = LocalDockerProvider()
    with pytest.warns(UserWarning, match="does not use gpus='all'"):
        url = provider.start_container(template_image.tag, gpus="all", timeout_s=90)
    provider.wait_for_ready(url)
    with pytest.raises(RuntimeError, match="has started a container already"):
        provider.start_container(template_image.tag)
    provider.stop_container()
    provider.stop_container()
    assert containers() == []
    with pytest.raises(TimeoutError):
        provider.wait_for_ready(url, timeout_s=0.2)
    with pytest.raises(RuntimeError, match="openenv-test-no-such-image"):
        provider.start_container("openenv-test-no-such-image:never")


class ByCommand(LocalDockerProvider):
    """What scripts do whose image listens elsewhere: the container is started with `docker`, the rest is inherited."""

    def start_container(
        self, image: str, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any
    ) -> str:
        port = self._find_available_port() if port is None else port
        self._container_name = self._generate_container_name(image)
        published = f"127.0.0.1:{port}:8000"
        done = docker("run", "-d", "--label", LABEL, "--name", self._container_name, "-p", published, image)
        self._container_id = done.strip()
        return f"http://localhost:{port}"

    def wait_for_ready(self, base_url: str, timeout_s: float = 120.0) -> None:
        super().wait_for_ready(base_url, timeout_s=timeout_s)


@requirement("compat-client:providers")
def test_a_provider_that_starts_its_container_itself(template_image: Built) -> None:
    provider = ByCommand()
    with GenericEnvClient.from_docker_image(template_image.tag, provider=provider) as env:
        assert env.reset(seed=1).done is False
        assert containers() == [provider._container_id]
        assert provider._container_name is not None and provider._container_name.startswith("openenv-boxed-")
    assert containers() == []
    assert provider._container_id is None


def test_a_container_that_ends_is_not_waited_for(template_image: Built) -> None:
    provider = LocalDockerProvider()
    with pytest.raises(RuntimeError, match="ended before it was healthy"):
        provider.start_container(template_image.tag, env_vars={"PATH": "/nowhere", "PYTHONHOME": "/nowhere"})
    assert containers() == []


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="Docker is not available"):
        LocalDockerProvider()
    with pytest.raises(RuntimeError, match="Docker is not available"):
        GenericEnvClient.from_docker_image("any").sync()


@requirement("compat-client:providers")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_uv_serves_a_project_of_ours(tmp_path: Path) -> None:
    project = await asyncio.to_thread(create_project, parse_name("uv_env"), "msgspec", tmp_path / "uv_env")
    async with asyncio.timeout(BOUND_S):
        handle = GenericEnvClient.from_env(
            "org/name", use_docker=False, project_path=str(project.folder), context_timeout_s=BOUND_S
        )
        async with await handle as env:
            await env.reset(seed=1)
            assert env.base_url == env._provider.base_url


def other_project(folder: Path, app: str) -> Path:
    """A project as OpenEnv's are: its app in server/app.py, uvicorn among its dependencies."""
    (folder / "server").mkdir(parents=True)
    declared = """
        [project]
        name = "other-env"
        version = "0.1.0"
        requires-python = ">=3.11"
        dependencies = ["uvicorn"]
    """
    (folder / "pyproject.toml").write_text(textwrap.dedent(declared), encoding="utf-8")
    (folder / "server" / "__init__.py").touch()
    (folder / "server" / "app.py").write_text(textwrap.dedent(app), encoding="utf-8")
    return folder


@requirement("compat-client:providers")
def test_uv_serves_anybody_elses_project(tmp_path: Path) -> None:
    app = """
        import os

        async def app(scope, receive, send):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": os.environ["WHO"].encode()})
    """
    provider = UVProvider(project_path=str(other_project(tmp_path / "env", app)), env_vars={"WHO": "nobody"})
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = provider.base_url
    with pytest.raises(RuntimeError, match="has not been started"):
        provider.wait_for_ready()
    try:
        url = provider.start(env_vars={"WHO": "me"})
        with pytest.raises(RuntimeError, match="already running"):
            provider.start()
        provider.wait_for_ready(timeout_s=BOUND_S)
        assert provider.base_url == url
        import httpx

        assert httpx.get(f"{url}/health", trust_env=False).text == "me"
    finally:
        provider.stop()
    provider.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", trust_env=False)


def test_a_project_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    provider = UVProvider(project_path=str(other_project(tmp_path / "env", "raise RuntimeError('no such licence')")))
    try:
        provider.start()
        with pytest.raises(RuntimeError, match="no such licence"):
            provider.wait_for_ready(timeout_s=BOUND_S)
    finally:
        provider.stop()


def test_a_server_that_takes_too_long(tmp_path: Path) -> None:
    provider = UVProvider(project_path=str(other_project(tmp_path / "env", "import time; time.sleep(600)")))
    try:
        provider.start()
        with pytest.raises(TimeoutError, match=r"did not become ready within 0\.2 seconds"):
            provider.wait_for_ready(timeout_s=0.2)
    finally:
        provider.stop()


@requirement("compat-client:providers")
@pytest.mark.parametrize("name", ["KubernetesProvider", "DockerSwarmProvider"])
def test_absent_providers_say_so(name: str) -> None:
    for module in (runtime, providers):
        with pytest.raises(
            ImportError, match=f"{name} of OpenEnv is not part of openenv-async: .* LocalDockerProvider"
        ):
            getattr(module, name)
        assert not hasattr(importlib.import_module(module.__name__), "NoSuchProvider")
