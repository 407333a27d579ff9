"""The wheel, in a virtual environment that has nothing else: what is in it, and that it works from there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from requirements import requirement

from openenv_async import __version__
from openenv_async.cli.uv_lock import find_uv
from openenv_async.cli.wheel import build_wheel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]

IMPORT_EVERYTHING = """
import importlib, pkgutil

# Which modules need what an extra brings: environments written for OpenEnv are pydantic's and FastAPI's (`compat`,
# `mcp`), and one module each of `metrics`, `otel` and `top` is imported only where its extra was found.
OPTIONAL = {
    ".compat.": ("pydantic", "fastapi", "fastmcp", "smolagents"),
    ".observe.exposition": ("prometheus_client",),
    ".observe.spans": ("opentelemetry",),
    ".cli.top_screen": ("rich",),
}

for package in ("openenv_async", "openenv_sync"):
    root = importlib.import_module(package)
    for name in sorted(m.name for m in pkgutil.walk_packages(root.__path__, package + ".")):
        # What serves Gymnasium may import it: the extra `gym` brings it, and nothing else leads there.
        if name.endswith(("__main__", ".openenv_core")) or ".gym" in name:
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name.partition(".")[0]
            if not any(part in name and missing in packages for part, packages in OPTIONAL.items()):
                raise
    for name in getattr(root, "__all__", ()):
        getattr(root, name)
print("imported")
"""

PLAY = """
import asyncio
from my_env import AsyncMyEnv, MyAction
from my_env.server.app import app

async def play():
    async with AsyncMyEnv(app) as env:
        result = await env.reset(seed=1)
        return (await env.step(MyAction(message=result.observation.prompt))).reward

print(asyncio.run(play()))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # Nothing of this checkout or of the Python that runs the tests may leak in.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="session")
def uv() -> str:
    found = find_uv()
    assert found, "the extra `dev` brings uv"
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, uv: str) -> Path:
    """The wheel as `make build` makes it."""
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--wheel", "--python", sys.executable, "--out-dir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


def installed(wheel: Path, folder: Path, uv: str) -> Path:
    """Install a wheel into an empty virtual environment and give its folder of scripts."""
    run(uv, "venv", "--python", sys.executable, folder, cwd=folder.parent)
    run(uv, "pip", "install", "--python", folder, wheel, cwd=folder.parent)
    return Path(sysconfig.get_path("scripts", "venv", {"base": str(folder), "platbase": str(folder)}))


@pytest.fixture(scope="session")
def scripts(wheel: Path, uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(wheel, tmp_path_factory.mktemp("install") / "venv", uv)


@requirement("web:small")
def test_only_two_names_go_into_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "openenv_async",
        "openenv_sync",
        f"openenv_async-{__version__}.dist-info",
    }
    assert {"openenv_async/py.typed", "openenv_sync/py.typed"} <= set(names)
    assert {f"openenv_async/_scaffold/project/{name}" for name in ("openenv.yaml", ".dockerignore")} <= set(names)
    assert f"openenv_async-{__version__}.dist-info/licenses/LICENSE" in names
    assert {f"openenv_async/server/web/page/{name}" for name in ("index.html", "frame.html", "main.js")} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(("scaffold", "tests"))]


def test_every_module_imports_without_the_extras(scripts: Path, tmp_path: Path) -> None:
    assert run(scripts / "python", "-W", "error", "-c", IMPORT_EVERYTHING, cwd=tmp_path).stdout == "imported\n"


def test_both_packages_are_typed_for_their_users(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "from openenv_async import AsyncEnv, Environment, State, StepResult, create_app\n"
        "from openenv_sync import SyncEnv\n"
        "def play(env: SyncEnv[int, str, State]) -> str:\n"
        "    return env.step(1).observation\n",
        encoding="utf-8",
    )
    interpreter = scripts / "python"
    run(sys.executable, "-m", "mypy", "--strict", "--python-executable", interpreter, "use.py", cwd=tmp_path)


def test_the_command_works_from_there(scripts: Path, tmp_path: Path) -> None:
    assert run(scripts / "openenv", "--version", cwd=tmp_path).stdout == f"openenv-async {__version__}\n"
    assert "gym:" in run(scripts / "openenv", "serve", "--help", cwd=tmp_path).stdout


def test_init_works_without_uv_and_says_how_to_get_it(scripts: Path, tmp_path: Path) -> None:
    done = run(scripts / "openenv", "init", "my_env", cwd=tmp_path, PATH=str(scripts))
    assert done.stderr == (
        "uv.lock was not written because uv is not installed: `pip install uv`, then run `uv lock` in my_env.\n"
    )
    assert not (tmp_path / "my_env" / "uv.lock").exists()
    assert run(scripts / "python", "-W", "error", "-c", PLAY, cwd=tmp_path).stdout == "1.0\n"


def test_init_says_that_pydantic_is_missing(scripts: Path, tmp_path: Path) -> None:
    done = run(scripts / "openenv", "init", "my_env", "--models", "pydantic", cwd=tmp_path, PATH=str(scripts))
    assert "`pip install pydantic`" in done.stderr


def test_uv_locks_and_runs_what_init_has_written(scripts: Path, uv: str, tmp_path: Path) -> None:
    """The generated project alone, elsewhere: uv installs it from its lock file and its wheel, and its test passes."""
    path = os.pathsep.join([str(scripts), str(Path(uv).parent), os.environ["PATH"]])
    done = run(scripts / "openenv", "init", "my_env", cwd=tmp_path, PATH=path)
    assert "uv.lock among them" in done.stdout
    (tmp_path / "my_env").rename(tmp_path / "renamed")
    project = tmp_path / "renamed"
    locked = (project / "uv.lock").read_bytes()
    tested = run(uv, "run", "--locked", "--python", sys.executable, "--", "pytest", "-q", cwd=project)
    assert "2 passed" in tested.stdout
    assert (project / "uv.lock").read_bytes() == locked


def test_a_rebuilt_wheel_is_the_built_one(wheel: Path, scripts: Path, tmp_path: Path) -> None:
    """From an installation and from this checkout alike: every file but the ones that name the builder."""
    rebuild = "import sys, pathlib, openenv_async.cli.wheel as w; print(w.build_wheel(pathlib.Path(sys.argv[1])))"
    again = Path(run(scripts / "python", "-c", rebuild, tmp_path / "again", cwd=tmp_path).stdout.strip())
    from_here = build_wheel(tmp_path / "here")
    assert again.name == from_here.name == wheel.name
    assert content(again) == content(wheel) == content(from_here)
    assert build_wheel(tmp_path / "twice").read_bytes() == from_here.read_bytes()


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(("/WHEEL", "/RECORD"))}


def test_a_rebuilt_wheel_installs(uv: str, tmp_path: Path) -> None:
    scripts = installed(build_wheel(tmp_path), tmp_path / "venv", uv)
    assert run(scripts / "openenv", "--version", cwd=tmp_path).stdout == f"openenv-async {__version__}\n"
