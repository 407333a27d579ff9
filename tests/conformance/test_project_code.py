"""The environment's code is imported in a child that it cannot get out of, and its parts are compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from validated import edit, good_env, is_alive, one, small_env

from openenv_async.conformance.findings import Finding
from openenv_async.conformance.project.code import CodeDescription, check_code, describe


def asked(folder: Path, timeout_s: float = 20.0) -> tuple[CodeDescription, list[Finding]]:
    said = asyncio.run(describe(folder, timeout_s))
    return said, check_code(folder, said)


def test_a_good_environment_says_what_it_is(tmp_path: Path) -> None:
    said, checks = asked(good_env(tmp_path))
    assert {check.name: check.result for check in checks} == dict.fromkeys(("models", "app", "client", "script"), "ok")
    assert said.max_sessions is not None and said.max_sessions > 1
    assert said.app["execution"] == "inline"
    assert list(said.app["schemas"]["action"]["properties"]) == ["message", "metadata"]
    assert not list(tmp_path.rglob("__pycache__"))


def test_an_error_in_a_module_is_told_with_its_line(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "models.py", "class EchoAction", "import not_installed_anywhere\n\n\nclass EchoAction")
    check = one(asked(folder)[1], "models")
    assert (check.result, check.file) == ("failed", "models.py")
    assert "not_installed_anywhere" in check.sentence
    assert check.line is not None and check.line > 1
    assert check.hint is not None and check.hint.startswith("install what it needs")


def test_a_client_with_other_classes_than_the_app_fails(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(
        folder / "client.py",
        "AsyncEnv[EchoAction, EchoObservation, State]",
        "AsyncEnv[EchoObservation, EchoAction, State]",
    )
    checks = [check for check in asked(folder)[1] if check.name == "client"]
    assert [check.result for check in checks] == ["failed", "failed"]
    assert "AsyncEchoEnv has echo_env.models.EchoObservation for the action" in checks[0].sentence


def test_an_untyped_client_and_another_state_are_warnings(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "client.py", "(AsyncEnv[EchoAction, EchoObservation, State])", "(AsyncEnv)")
    edit(
        folder / "client.py",
        "SyncEnv[EchoAction, EchoObservation, State]",
        "SyncEnv[EchoAction, EchoObservation, dict]",
    )
    checks = [check for check in asked(folder)[1] if check.name == "client"]
    assert [check.result for check in checks] == ["warned", "warned"]
    assert "untyped" in checks[0].sentence
    assert "plain dicts for the state" in checks[1].sentence


def test_a_script_that_is_no_function_fails(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "pyproject.toml", "server.app:main", "server.app:__doc__")
    check = one(asked(folder)[1], "script")
    assert check.result == "failed"
    assert "not a function" in check.sentence


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(7)", "exit code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
    ],
    ids=["exit", "hard exit", "segfault", "raises", "syntax"],
)
def test_code_that_ends_its_process_costs_its_own_check(tmp_path: Path, code: str, words: str) -> None:
    folder = small_env(tmp_path)
    app = folder / "server" / "app.py"
    app.write_text(f"print('x' * 100_000)\n{code}\n", encoding="utf-8")
    check = one(asked(folder)[1], "app")
    assert check.result == "failed"
    assert words in check.sentence


def test_code_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    folder = small_env(tmp_path)
    code = (
        "import pathlib, subprocess, sys, threading\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(other.pid))\n"
        "threading.Event().wait()\n"
    )
    (folder / "server" / "app.py").write_text(code, encoding="utf-8")
    said, checks = asked(folder, timeout_s=2.0)
    assert said.exit_code is None
    app = one(checks, "app")
    assert "did not end within 2 s" in app.sentence
    assert app.hint is not None
    assert one(checks, "client").result == "skipped"
    assert not is_alive(int((tmp_path / "pid").read_text(encoding="utf-8")))
