"""What `openenv serve` says when it cannot: one message, naming file and line, and exit code 1 or 2."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from support.serve_command import edit, serving, write_env


def refused(*arguments: str, cwd: Path, code: int = 1) -> str:
    """Run it, expect a refusal, give the message."""
    with serving(*arguments, cwd=cwd) as server:
        ended, text = server.end()
    assert ended == code, text
    assert text.startswith("Error: "), text
    assert "Traceback" not in text
    return text.removeprefix("Error: ").rstrip("\n")


def test_a_taken_port(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = refused("my_env", f"--port={port}", cwd=tmp_path)
    assert text == f"127.0.0.1:{port} is taken by another program: stop it, or choose another port (0 picks a free one)"


def test_a_taken_port_is_told_before_the_import(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    edit(folder / "server" / "app.py", "app = ", "raise SystemError\napp = ")
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "is taken" in refused("my_env", f"--port={other.getsockname()[1]}", cwd=tmp_path)


def test_a_module_that_is_not_installed(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    edit(folder / "server" / "environment.py", "import os, sys, time", "import os, sys, time\nimport no_such_module")
    (folder / "pyproject.toml").write_text("", encoding="utf-8")
    assert refused("my_env", "--port=0", cwd=tmp_path).splitlines() == [
        "my_env/server/environment.py:3: ModuleNotFoundError: No module named 'no_such_module'",
        "    import no_such_module",
        "Install what it needs: pip install -e my_env",
    ]


def test_a_syntax_error(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    edit(folder / "server" / "environment.py", "def close(self) -> None:", "def close(self) -> None")
    first, second = refused("my_env", "--port=0", cwd=tmp_path).splitlines()
    assert first == "my_env/server/environment.py:27: SyntaxError: expected ':'"
    assert second.strip() == "def close(self) -> None"


def test_an_exception_far_below_names_the_last_line_of_the_users(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    edit(folder / "server" / "app.py", "app = create_app(EchoEnvironment, ", "app = create_app(EchoEnvironment(), ")
    first, *_ = refused("my_env", "--port=0", cwd=tmp_path).splitlines()
    assert first.startswith("my_env/server/app.py:6: TypeError: env must be a class or a function")


def test_an_exception_with_its_cause(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    guarded = """\
try:
    import no_such_module
except ImportError as error:
    raise ImportError("run uv sync") from error
"""
    edit(folder / "server" / "app.py", "app = ", f"{guarded}app = ")
    lines = refused("my_env", "--port=0", cwd=tmp_path).splitlines()
    assert lines[0] == "my_env/server/app.py:9: ImportError: run uv sync"
    assert lines[2] == "  caused by ModuleNotFoundError: No module named 'no_such_module'"


def test_a_module_that_exits(tmp_path: Path) -> None:
    (tmp_path / "quits.py").write_text("import sys\nsys.exit('no licence')\n", encoding="utf-8")
    assert refused("quits.py", "--port=0", cwd=tmp_path).startswith("quits.py:2: SystemExit: no licence")


def test_with_debug_the_whole_traceback_comes_before_the_message(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n", encoding="utf-8")
    with serving("bad.py", "--debug", "--port=0", cwd=tmp_path) as server:
        code, text = server.end()
    assert code == 1
    assert text.startswith("Traceback")
    assert "Error: bad.py:1: ZeroDivisionError: division by zero" in text


def test_a_startup_that_fails(tmp_path: Path) -> None:
    source = """\
import contextlib
from starlette.applications import Starlette

@contextlib.asynccontextmanager
async def start(app):
    raise LookupError("no weights")
    yield

app = Starlette(lifespan=start)
"""
    (tmp_path / "tiny.py").write_text(source, encoding="utf-8")
    assert refused("tiny.py", "--port=0", cwd=tmp_path) == "the app's startup failed: LookupError: no weights"


SOURCES = {
    "nothing": ("x = 1", "app.py has no 'app': it must define the app, usually app = create_app(...)"),
    "another name": (
        "async def application(scope, receive, send): ...",
        "app.py has no 'app'; it has application, which can be served: name it after the colon",
    ),
    "not an app": (
        "app = 3",
        "app in app.py is an int: an ASGI app, a factory of one, or an Environment class can be served",
    ),
    "none made": (
        "def app(): pass",
        "app in app.py returned None: a factory must return the app, usually create_app(...)",
    ),
    "async factory": (
        "async def app(): ...",
        "app in app.py is an async function: a factory must be a plain `def` that returns the app",
    ),
    "wants arguments": ("def app(a, b): ...", "app in app.py wants the arguments a, b: a factory takes none"),
    "factory raises": ("def app():\n    1 / 0", "app.py:2: ZeroDivisionError: division by zero\n    1 / 0"),
    "an instance": (
        "class Env:\n    def reset(self): ...\n    def step(self, a): ...\napp = Env()",
        "app in app.py is one Env object: every session needs its own; name the class",
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_an_attribute_that_cannot_be_served(kind: str, tmp_path: Path) -> None:
    source, message = SOURCES[kind]
    (tmp_path / "app.py").write_text(source + "\n", encoding="utf-8")
    assert refused("app.py", "--port=0", cwd=tmp_path) == message


def test_a_class_that_does_not_say_its_classes(tmp_path: Path) -> None:
    source = "class Env:\n    def reset(self): ...\n    def step(self, a): ...\n"
    (tmp_path / "bare.py").write_text(source, encoding="utf-8")
    assert "Env does not say its classes" in refused("bare.py:Env", "--port=0", cwd=tmp_path)


MANIFESTS: dict[str, tuple[str, str]] = {
    "not yaml": ("name: x\napp: [\n", "my_env/openenv.yaml:3: not YAML: "),
    "a list": ("- a\n", "my_env/openenv.yaml:1: must hold `key: value` lines"),
    "empty": ("", "my_env/openenv.yaml:1: must hold `key: value` lines"),
    "no name": ("app: server.app:app\n", "my_env/openenv.yaml:1: name is missing"),
    "bad port": ("name: x\n\nport: http\n", "my_env/openenv.yaml:3: port must be a number from 0 to 65535, not 'http'"),
    "bad app": (
        "name: x\napp: server/app.py\n",
        "my_env/openenv.yaml:2: app must be module:attribute, e.g. server.app:app",
    ),
    "app elsewhere": ("name: x\napp: web.main:app\n", "my_env/openenv.yaml:2: there is no my_env/web/main.py, where"),
    "given twice": ("name: x\nport: 1\nport: 2\n", "my_env/openenv.yaml:3: port is already given at line 2"),
    "of tomorrow": ("name: x\nspec_version: 2\n", "my_env/openenv.yaml:2: spec_version must be 1"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_that_cannot_be_used(kind: str, tmp_path: Path) -> None:
    content, message = MANIFESTS[kind]
    write_env(tmp_path / "my_env")
    (tmp_path / "my_env" / "openenv.yaml").write_text(content, encoding="utf-8")
    text = refused("my_env", "--port=0", cwd=tmp_path)
    assert text.startswith(message)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        (".", 1, "{cwd} has no openenv.yaml: give the folder of an environment"),
        ("nowhere", 2, "there is no nowhere: give the folder of an environment"),
        ("nowhere.py:app", 2, "there is no file nowhere.py"),
        ("notes.txt", 2, "notes.txt is not a .py file"),
        ("no_such_module:app", 1, "there is no module 'no_such_module', neither in {cwd} nor installed"),
        ("gym:", 2, "gym: needs the id of an environment"),
        ("gym:CartPole-v1?fast", 2, "'fast' in gym:CartPole-v1?fast must be name=value"),
        ("gym:NoSuch-v0", 1, "gymnasium.make('NoSuch-v0') failed: NameNotFound"),
        ("gym:CartPole-v1?colour=red", 1, "gymnasium.make('CartPole-v1') failed: TypeError"),
    ],
)
def test_a_target_that_is_not_there(target: str, code: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    assert refused(target, "--port=0", cwd=tmp_path, code=code).startswith(message.format(cwd=tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gym:CartPole-v1", "--unix=s", "--port=1"], "--unix goes without --host and --port"),
        (["gym:CartPole-v1", "--token="], "--token is empty"),
        (["gym:CartPole-v1", "--reload", "--port=0"], "--reload has nothing to watch for CartPole-v1"),
    ],
)
def test_options_that_contradict_each_other(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert refused(*arguments, cwd=tmp_path, code=2).startswith(message)


def test_gymnasium_that_is_not_installed(tmp_path: Path) -> None:
    # As Python itself sees a module that is not there.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['gymnasium'] = None\n", encoding="utf-8")
    import openenv_async

    path = f"{tmp_path}:{Path(openenv_async.__file__).parents[1]}"
    with serving("gym:CartPole-v1", "--port=0", cwd=tmp_path, variables={"PYTHONPATH": path}) as server:
        code, text = server.end()
    assert code == 1
    assert text.endswith("is an environment of Gymnasium, which is not installed: pip install 'openenv-async[gym]'\n")


def test_ctrl_c_during_the_import_leaves_no_traceback(tmp_path: Path) -> None:
    source = "import threading\nprint('importing', flush=True)\nthreading.Event().wait()\n"
    (tmp_path / "slow.py").write_text(source, encoding="utf-8")
    with serving("slow.py", "--port=0", cwd=tmp_path) as server:
        server.until("importing")
        server.process.send_signal(signal.SIGINT)
        code, text = server.end()
    assert (code, text) == (0, "importing\nStopped before it was ready.\n")


def test_a_package_whose_init_cannot_be_imported_is_served_without_it(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    (folder / "__init__.py").write_text("import no_such_client_library\n", encoding="utf-8")
    with serving("my_env", "--port=0", cwd=tmp_path) as server:
        server.until(r"WARNING .*__init__\.py could not be imported .*no_such_client_library")
        server.url()
