"""Runs `openenv serve` as its users do: a process of its own, a folder of their own, a bound on every wait."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import openenv_async

BOUND_S = 40

MODELS = """\
from __future__ import annotations
from openenv_async import Action, Observation

class EchoAction(Action):
    message: str

class EchoObservation(Observation):
    echoed: str = ""
"""

ENVIRONMENT = """\
from __future__ import annotations
import os, sys, time
from openenv_async import Environment, State
{models}

class EchoEnvironment(Environment[EchoAction, EchoObservation, State]):
    def __init__(self) -> None:
        self._state = State()

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> EchoObservation:
        self._state = State(episode_id=episode_id)
        return EchoObservation(echoed="VERSION 1")

    def step(self, action: EchoAction) -> EchoObservation:
        self._state.step_count += 1
        if action.message == "token":
            return EchoObservation(echoed=str(os.environ.get("OPENENV_TOKEN")))
        if action.message.startswith("hang"):
            print("hanging", flush=True)
            time.sleep(float(action.message.removeprefix("hang ")))
        return EchoObservation(echoed=action.message, reward=1.0)

    @property
    def state(self) -> State:
        return self._state

    def close(self) -> None:
        print("closed", flush=True)
"""

APP = """\
from __future__ import annotations
from openenv_async import create_app
{models}
{environment}

app = create_app(EchoEnvironment, EchoAction, EchoObservation, env_name="echo")
"""

STYLES = {
    "relative": ("from ..models import EchoAction, EchoObservation", "from .environment import EchoEnvironment"),
    "top level": ("from models import EchoAction, EchoObservation", "from server.environment import EchoEnvironment"),
    "absolute": (
        "from my_env.models import EchoAction, EchoObservation",
        "from my_env.server.environment import EchoEnvironment",
    ),
}
STYLES["mixed"] = (STYLES["top level"][0], STYLES["relative"][1])


def write_env(folder: Path, style: str = "relative", name: str = "my_env", app_style: str | None = None) -> Path:
    """Write an environment's folder by hand, in one of the ways that authors import."""
    (folder / "server").mkdir(parents=True)
    (folder / "openenv.yaml").write_text(
        f"spec_version: 1\nname: {name}\nversion: 0.1.0\ntype: space\napp: server.app:app\nport: 8000\n",
        encoding="utf-8",
    )
    (folder / "__init__.py").write_text("from .models import EchoAction as EchoAction\n", encoding="utf-8")
    (folder / "models.py").write_text(MODELS, encoding="utf-8")
    (folder / "server" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "server" / "environment.py").write_text(ENVIRONMENT.format(models=STYLES[style][0]), encoding="utf-8")
    models, environment = STYLES[app_style or style]
    (folder / "server" / "app.py").write_text(APP.format(models=models, environment=environment), encoding="utf-8")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Change a file as an editor does: a new file in the old one's place."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    changed = path.with_suffix(".tmp")
    changed.write_text(text.replace(old, new), encoding="utf-8")
    changed.replace(path)


class Serving:
    """A running `openenv serve`; stderr goes to stdout, so that the lines keep their order."""

    def __init__(
        self, *arguments: str, cwd: Path, variables: dict[str, str] | None = None, bound_s: float = BOUND_S
    ) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "OPENENV_TOKEN"}
        environment["PYTHONPATH"] = str(Path(openenv_async.__file__).parents[1])
        self.lines: list[str] = []
        self.address = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "openenv_async.cli", "serve", *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment | (variables or {}),
        )
        # Bounds every read: a killed process ends the pipe.
        self._bomb = threading.Timer(bound_s, self.process.kill)
        self._bomb.start()

    def until(self, pattern: str) -> re.Match[str]:
        """Read up to the line that has the pattern."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"it ended before {pattern!r}:\n{''.join(self.lines)}")

    def url(self) -> str:
        """Wait until it serves."""
        return self.until(r"Serving .* on (http://\S+?:\d+|unix:[^\s.]+)")[1]

    def end(self) -> tuple[int, str]:
        """Wait for its end; gives the exit code and all that it wrote."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        return self.process.wait(BOUND_S), "".join(self.lines)

    def close(self) -> None:
        self._bomb.cancel()
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def serving(
    *arguments: str, cwd: Path, variables: dict[str, str] | None = None, bound_s: float = BOUND_S
) -> Iterator[Serving]:
    server = Serving(*arguments, cwd=cwd, variables=variables, bound_s=bound_s)
    try:
        yield server
    finally:
        server.close()
