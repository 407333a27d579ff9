"""Environments to push, and `openenv` as a process of its own that has nothing of the developer's account."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import openenv_async
from support.hub.server import Hub

BOUND_S = 40

README = "---\ntitle: Mine\nemoji: 🎯\ncolorFrom: red\ncolorTo: blue\nsdk: docker\napp_port: 8000\n"
README += "base_path: /web\ntags:\n  - openenv\n---\n\n# Mine\n"
FILES = {
    "openenv.yaml": "spec_version: 1\nname: my_env\ntype: space\napp: server.app:app\nport: 8000\n",
    "__init__.py": "",
    "models.py": "WORD = 'word'\n",
    "server/__init__.py": "",
    "server/app.py": "app = None\n",
    "server/Dockerfile": 'FROM python:3.12-slim\nCOPY . /app\nCMD ["python", "-m", "server.app"]\n',
    "README.md": README,
}


def write_env(folder: Path, changes: Mapping[str, str | bytes | None] | None = None) -> Path:
    """Write a small environment. `None` leaves a file out."""
    files: dict[str, str | bytes | None] = {**FILES}
    files.update(changes or {})
    for path, content in files.items():
        if content is not None:
            put(folder, path, content)
    return folder


def put(folder: Path, path: str, content: str | bytes) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence of a command that failed."""
        lines = [line for line in self.err.splitlines() if not line.startswith("Warning: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: "), self.err
        return lines[0].removeprefix("Error: ")


def variables(hub: Hub, home: Path, token: str | None = None, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "OPENENV_"))}
    kept |= {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        # Xet storage needs a server of its own kind; without it the client uploads as git-lfs does.
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(Path(openenv_async.__file__).parents[1]),
    }
    return kept | ({"HF_TOKEN": token} if token else {}) | more


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "openenv_async.cli", *arguments]


def openenv(hub: Hub, folder: Path, *arguments: str, token: str | None = None, **more: str) -> Done:
    """Run `openenv` with the environment's folder as the working folder."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=variables(hub, folder.parent / "hf-home", token, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
