"""Processes that a program started with `python -m openenv_async.compat` starts itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from requirements import requirement

import openenv_async.compat

PROGRAM = """
import multiprocessing, subprocess, sys

def version():
    import openenv
    return openenv.__version__, openenv.core.__name__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(version))
    ask = "import sys, openenv; print(openenv.__version__, any('inherited' in place for place in sys.path))"
    print(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    nested = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {ask!r}]).returncode)"
    print(subprocess.run([sys.executable, "-c", nested], capture_output=True, text=True, check=True).stdout.split())
"""


def run(folder: Path, **variables: str) -> list[str]:
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "openenv_async.compat", str(folder / "program.py")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **variables},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@requirement("compat:script")
def test_processes_that_the_program_starts_answer_the_names(tmp_path: Path) -> None:
    assert run(tmp_path) == [
        "('0.10.0', 'openenv_async.compat.names.core')",
        "0.10.0 False",
        "['0.10.0', 'False', '0']",
    ]


@requirement("compat:left-alone")
def test_a_sitecustomize_of_the_users_own_still_runs(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import os; os.environ['SEEN'] = 'yes'\n", encoding="utf-8")
    ask = "import os, openenv; print(os.environ['SEEN'], openenv.__version__)"
    (tmp_path / "ask.py").write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {ask!r}])\n")
    done = subprocess.run(
        [sys.executable, "-m", "openenv_async.compat", str(tmp_path / "ask.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(own)},
    )
    assert (done.stdout.strip(), done.stderr) == ("yes 0.10.0", "")


def test_an_interpreter_without_this_package_starts_all_the_same(tmp_path: Path) -> None:
    inherited = Path(openenv_async.compat.__file__).with_name("inherited")
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import sitecustomize; print('well')"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(inherited)},
    )
    assert (done.stdout.strip(), done.stderr) == ("well", "")
