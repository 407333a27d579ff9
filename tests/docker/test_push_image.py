"""Images to a real registry and back: by digest, with a login, and refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.docker_fixtures import LOGIN, Built, docker, openenv, registry, running

from openenv_async import AsyncEnv
from openenv_async.images.errors import PushFailed
from openenv_async.images.progress import Progress, Transfer
from openenv_async.images.push import push_image

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_factories=["asyncio-debug"])]


@pytest.fixture
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of docker's own that knows nobody."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


def log_in(config: Path, host: str, auth: str) -> None:
    config.write_text(json.dumps({"auths": {host: {"auth": auth}}}), encoding="utf-8")


async def test_pushed_pulled_by_digest_and_played(template_image: Built, no_login: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    with registry(tmp_path) as host:
        pushed = await push_image(template_image.tag, host, tag="v1", on_progress=seen.append)
        assert pushed.name == f"{host}/openenv-boxed:v1"
        assert any(isinstance(event, Transfer) and event.total for event in seen)
        docker("rmi", pushed.name)
        docker("pull", "--quiet", pushed.pinned)
        with running(pushed.pinned) as container:
            async with AsyncEnv[Any, Any, Any](base_url=container.url) as env:
                result = await env.reset(seed=1)
                assert (await env.step({"message": result.observation["prompt"]})).reward == 1.0
        docker("rmi", pushed.pinned)


async def test_built_and_pushed_with_one_command(
    template_image: Built, base_image: str, no_login: Path, tmp_path: Path
) -> None:
    with registry(tmp_path) as host:
        tag = f"{host}/team/boxed:v2"
        done = openenv("build", template_image.folder, "--base-image", base_image, "-t", tag, "--push")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Pushed {tag}; this very image is {host}/team/boxed@sha256:" in done.stdout
        docker("rmi", tag)


async def test_a_registry_that_wants_a_login(template_image: Built, no_login: Path, tmp_path: Path) -> None:
    with registry(tmp_path, login=True) as host:
        with pytest.raises(PushFailed) as refused:
            await push_image(template_image.tag, host)
        assert refused.value.hint == f"log in with `docker login {host}` as a user who may write there"
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        log_in(no_login, host, auth)
        pushed = await push_image(template_image.tag, host)
        docker("rmi", pushed.name)
        wrong = base64.b64encode(b"player:wrong").decode()
        log_in(no_login, host, wrong)
        with pytest.raises(PushFailed) as refused:
            await push_image(template_image.tag, host, tag="again")
        assert "wrong" not in str(refused.value) and auth not in str(refused.value)
    docker("rmi", f"{host}/openenv-boxed:again", check=False)


async def test_no_registry_there(template_image: Built, no_login: Path) -> None:
    with pytest.raises(PushFailed) as refused:
        await push_image(template_image.tag, "localhost:1")
    assert str(refused.value).startswith("localhost:1 did not take localhost:1/openenv-boxed:latest: ")
    assert refused.value.hint == "nothing answers at localhost:1: is its name right, and is it running?"
    docker("rmi", "localhost:1/openenv-boxed:latest", check=False)


async def test_no_such_image(engine: str, no_login: Path) -> None:
    with pytest.raises(PushFailed) as refused:
        await push_image("openenv-absent", "localhost:1")
    assert refused.value.hint == "build it first, with `openenv build -t openenv-absent:latest`"


async def test_a_failed_push_tells_it_on_the_command_line(
    template_image: Built, base_image: str, no_login: Path
) -> None:
    done = openenv("build", template_image.folder, "--base-image", base_image, "-t", "localhost:1/boxed", "--push")
    assert done.returncode == 1
    assert "Error: localhost:1 did not take localhost:1/boxed:latest" in done.stderr
    assert "Hint: nothing answers at localhost:1" in done.stderr
    docker("rmi", "localhost:1/boxed", check=False)


async def test_openenv_push_sends_an_image(
    template_image: Built, base_image: str, no_login: Path, tmp_path: Path
) -> None:
    with registry(tmp_path) as host:
        words = ("push", template_image.folder, "--registry", f"{host}/team", "--tag", "v3", "--base-image", base_image)
        dry = openenv(*words, "--dry-run")
        assert dry.returncode == 0, dry.stdout + dry.stderr
        assert "  server/app.py\n" in dry.stdout and "  wheels/openenv_async-" in dry.stdout
        assert f"{host}/team/openenv-boxed:v3" in dry.stdout
        assert "Nothing was built or sent.\n" in dry.stdout
        done = openenv(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Pushed {host}/team/openenv-boxed:v3; this very image is {host}/team/openenv-boxed@" in done.stdout
        docker("rmi", f"{host}/team/openenv-boxed:v3")


async def test_the_web_interface_is_off_unless_asked_for(
    template_image: Built, base_image: str, no_login: Path, tmp_path: Path
) -> None:
    with registry(tmp_path) as host:
        for option, expected in (("--no-interface", ""), ("--interface", "ENABLE_WEB_INTERFACE=true")):
            words = ("--registry", host, "--base-image", base_image, option)
            done = openenv("push", template_image.folder, *words)
            assert done.returncode == 0, done.stdout + done.stderr
            found = docker("inspect", "--format", "{{.Config.Env}}", f"{host}/openenv-boxed")
            assert expected in found and ("ENABLE_WEB_INTERFACE" in found) == bool(expected)
        docker("rmi", f"{host}/openenv-boxed")


async def test_a_registry_with_a_wrong_name(template_image: Built) -> None:
    done = openenv("push", template_image.folder, "--registry", "ghcr.io/My Org")
    assert done.returncode == 2
    assert "try ghcr.io/my-org/openenv-boxed:latest" in done.stderr
