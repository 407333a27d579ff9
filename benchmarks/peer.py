"""The peer's own virtual environment: `openenv` 0.10.0 exactly as `pip install` gives it.

Made once under `.cache/bench-peer` and kept. `OPENENV_BENCH_PEER` names an existing one to use instead. Pip takes
its settings (index, certificates, proxies) from the same places as always: its files and its variables.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.plan import ROOT

PEER = "openenv"
PEER_VERSION = "0.10.0"
VARIABLE = "OPENENV_BENCH_PEER"

INSTALL_S = 1200
"""Seconds the installation may take: the peer brings gradio, pandas and some eighty more."""

REPORTED = ("openenv", "fastapi", "uvicorn", "uvloop", "httptools", "websockets", "pydantic", "starlette", "numpy")


class PeerUnavailable(Exception):
    """The peer's environment could not be made or is not what it should be."""


def python_of(folder: Path) -> Path:
    """Give the interpreter of a virtual environment."""
    return folder / ("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")


def versions(python: Path, names: tuple[str, ...] = REPORTED) -> dict[str, str]:
    """Ask an interpreter which of these distributions it has, and which Python it is."""
    code = (
        "import importlib.metadata as m, json, platform, sys\n"
        "found = {'python': platform.python_version()}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    try:
        command = [str(python), "-P", "-c", code, *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise PeerUnavailable(f"{python} does not run: {exc}") from exc
    found: dict[str, str] = json.loads(done.stdout)
    return found


def peer_python(say: Callable[[str], None]) -> Path:
    """Give the interpreter of the peer's environment, made now if there is none.

    Raises:
        PeerUnavailable: it cannot be installed, or `OPENENV_BENCH_PEER` names something else.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return _checked(python_of(Path(given)), f"{VARIABLE}={given}")
    folder = ROOT / ".cache" / "bench-peer"
    # Written last: an installation that was interrupted is made again.
    complete = folder / "complete"
    if not complete.is_file():
        say(f"installing {PEER} {PEER_VERSION} into {folder.relative_to(ROOT)} (once, some minutes)")
        _install(folder)
        complete.touch()
    return _checked(python_of(folder), str(folder.relative_to(ROOT)))


def _checked(python: Path, where: str) -> Path:
    found = versions(python, (PEER,)).get(PEER)
    if found != PEER_VERSION:
        raise PeerUnavailable(f"{where} holds {PEER} {found or '(none)'}, not {PEER_VERSION}")
    return python


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(python_of(folder)), "-m", "pip", "install", "--quiet", f"{PEER}=={PEER_VERSION}"])


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, timeout=INSTALL_S, capture_output=True, text=True)
    except subprocess.CalledProcessError as exc:
        raise PeerUnavailable(
            f"{' '.join(command)} failed:\n{exc.stderr[-2000:]}\n"
            f"Install {PEER}=={PEER_VERSION} into a virtual environment yourself and set {VARIABLE} to its folder."
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise PeerUnavailable(f"{' '.join(command)} took more than {INSTALL_S} s") from exc
