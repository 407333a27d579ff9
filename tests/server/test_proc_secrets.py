"""A token given to `openenv serve` cannot be read in /proc by a program that an environment starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from requirements import requirement

SECRET = "correct-horse-battery"

LOOK = """
import os, sys
secret = sys.stdin.buffer.read()
for name in ("environ", "cmdline"):
    with open(f"/proc/{os.getppid()}/{name}", "rb") as file:
        print(secret in file.read())
"""

START = f"""
import os, subprocess, sys
from openenv_async.server.proc_secrets import hide_secret
secret = os.environ.pop("OPENENV_TOKEN")
if sys.argv[1] == "hide":
    assert hide_secret(secret)
print(os.environ["OTHER"], flush=True)
subprocess.run([sys.executable, "-c", {LOOK!r}], input=secret.encode())
"""


@requirement("security:proc")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize(("how", "seen"), [("hide", "False"), ("keep", "True")])
def test_the_first_variables_and_arguments_keep_no_secret(how: str, seen: str) -> None:
    command = [sys.executable, "-c", START, how, f"--token={SECRET}"]
    env = {"OPENENV_TOKEN": SECRET, "OTHER": "stays", "PATH": "/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=True)
    assert done.stdout.split() == ["stays", seen, seen]
