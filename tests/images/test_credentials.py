"""Logins as docker keeps them: in its file, or with a program that it asks."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from openenv_async.images.credentials import credentials_for
from openenv_async.images.errors import PushFailed

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])
AUTH = base64.b64encode(b"me:p:ss").decode()
ME = {"username": "me", "password": "p:ss"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path / "config.json"


def write(config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a credential helper called `test` on the PATH."""
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\nread server\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("registry", "key"),
    [("r.example", "r.example"), ("r.example", "https://r.example/v2/"), ("docker.io", "https://index.docker.io/v1/")],
)
async def test_a_login_in_the_file(config: Path, registry: str, key: str) -> None:
    write(config, json.dumps({"auths": {key: {"auth": AUTH}}}))
    assert await credentials_for(registry) == ME | {"serveraddress": key}
    assert await credentials_for("other.example") == {}


async def test_no_file_is_no_login(config: Path) -> None:
    assert await credentials_for("r.example") == {}


async def test_an_identity_token(config: Path) -> None:
    write(config, json.dumps({"auths": {"r.example": {"identitytoken": "t"}}}))
    assert await credentials_for("r.example") == {"identitytoken": "t", "serveraddress": "r.example"}


@pytest.mark.parametrize("setting", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}}])
async def test_a_credential_helper(config: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, object]) -> None:
    helper(config.parent, monkeypatch, r"printf \{\"Username\":\"%s\",\"Secret\":\"p:ss\"\} me")
    write(config, json.dumps(setting))
    assert await credentials_for("r.example") == ME | {"serveraddress": "r.example"}


async def test_a_helper_that_knows_nothing_leaves_it_to_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(config.parent, monkeypatch, "echo credentials not found in native keychain; exit 1")
    write(config, json.dumps({"credsStore": "test", "auths": {"r.example": {"auth": AUTH}}}))
    assert (await credentials_for("r.example"))["username"] == "me"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo locked >&2; exit 1", "could not give the login for r.example"),
        ("echo hello", "not a login for r.example"),
    ],
)
async def test_a_broken_helper_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str
) -> None:
    helper(config.parent, monkeypatch, script)
    write(config, '{"credsStore": "test"}')
    with pytest.raises(PushFailed, match=f"docker-credential-test .*{sentence}"):
        await credentials_for("r.example")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ("[]", "must hold a JSON object"),
        ('{"credsStore": "absent"}', "docker-credential-absent is not on the PATH"),
        ('{"auths": {"r.example": {"auth": "???"}}}', "the login for r.example is damaged"),
    ],
)
async def test_a_damaged_file_is_named(config: Path, text: str, sentence: str) -> None:
    write(config, text)
    with pytest.raises(PushFailed, match=sentence):
        await credentials_for("r.example")
