"""The login for a registry, as `docker login` stored it.

Reads docker's `config.json` and podman's `auth.json`, and asks the credential
helpers that they name. A login goes into one header of one request: never into a
message, a log or an object's repr.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import shutil
from pathlib import Path
from typing import Any

from openenv_async.images.errors import PushFailed

HELPER_TIMEOUT_S = 30.0
_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"


async def credentials_for(registry: str) -> dict[str, str]:
    """Return the login that aiodocker sends to a registry; empty without one.

    Raises:
        PushFailed: a file or a credential helper exists and cannot be used.
    """
    for file in _files():
        config = _read(file)
        found = await _from(config, registry, file)
        if found is not None:
            return found
    return {}


def _files() -> list[Path]:
    docker = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    named = os.environ.get("REGISTRY_AUTH_FILE")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = [Path(named)] if named else [Path(runtime, "containers/auth.json")] if runtime else []
    return [file for file in (docker, *podman) if file.is_file()]


def _read(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PushFailed(f"{file}, where logins are kept, cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise PushFailed(f"{file}, where logins are kept, must hold a JSON object")
    return config


async def _from(config: dict[str, Any], registry: str, file: Path) -> dict[str, str] | None:
    keys = _keys(registry)
    helpers = config.get("credHelpers") or {}
    helper = next((helpers[key] for key in keys if key in helpers), config.get("credsStore"))
    if helper:
        for key in keys:
            found = await _ask(str(helper), key, file)
            if found is not None:
                return found
    for key in keys:
        entry = (config.get("auths") or {}).get(key)
        if isinstance(entry, dict) and (found := _entry(entry, key, file)):
            return found
    return None


def _keys(registry: str) -> list[str]:
    if registry == _HUB:
        return [_HUB_KEY, _HUB, "index.docker.io"]
    return [registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/"]


def _entry(entry: dict[str, Any], key: str, file: Path) -> dict[str, str] | None:
    if entry.get("identitytoken"):
        return {"identitytoken": str(entry["identitytoken"]), "serveraddress": key}
    if entry.get("username") and entry.get("password"):
        return _login(str(entry["username"]), str(entry["password"]), key)
    if not entry.get("auth"):
        return None
    try:
        user, colon, secret = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, ValueError, TypeError):
        colon = ""
    if not colon:
        raise PushFailed(f"{file}: the login for {key} is damaged; run `docker login {key}` again") from None
    return _login(user, secret, key)


def _login(user: str, secret: str, key: str) -> dict[str, str]:
    return {"username": user, "password": secret, "serveraddress": key}


async def _ask(helper: str, key: str, file: Path) -> dict[str, str] | None:
    """Ask a credential helper; `None` when it has no login for the registry."""
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise PushFailed(
            f"{file} names the credential helper {helper!r}, and docker-credential-{helper} is not on the PATH: "
            "install it, or take the helper out and log in again"
        )
    process = await asyncio.create_subprocess_exec(
        program, "get", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(HELPER_TIMEOUT_S):
            out, err = await process.communicate(key.encode())
    except TimeoutError:
        raise PushFailed(f"docker-credential-{helper} gave no answer within {HELPER_TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        # Helpers print it on stdout, and all with these words.
        said = (out + err).decode(errors="replace").strip()
        if "not found" in said.lower():
            return None
        raise PushFailed(f"docker-credential-{helper} could not give the login for {key}: {said.splitlines()[0:1]}")
    try:
        answer = json.loads(out)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise PushFailed(f"docker-credential-{helper} gave an answer that is not a login for {key}") from None
    if user == _TOKEN_USER:
        return {"identitytoken": secret, "serveraddress": key}
    return _login(user, secret, key)
