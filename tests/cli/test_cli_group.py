"""The `openenv` group itself: its help, its version, and that it loads a command only when asked for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from openenv_async import __version__
from openenv_async.cli import COMMANDS, main

HELP = """
import sys
from openenv_async.cli import main
main(["--help"], standalone_mode=False)
ours = ("openenv_async.cli.", "openenv_async.server", "openenv_async.client")
heavy = (*ours, "starlette", "hypercorn", "httpx", "yaml")
shared = ("openenv_async.cli.progress",)
print([name for name in sys.modules if name.startswith(heavy) and name not in shared])
"""


def test_help_lists_every_command_and_imports_none() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, timeout=30, check=True)
    *shown, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    for name, entry in COMMANDS.items():
        assert any(line.split() == [name, *entry.short_help.split()] for line in shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_shows_examples(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"Usage: main {name}" in done.output
    # Each on a line of its own.
    examples = done.output.partition("Examples:\n")[2].splitlines()
    assert sum(line.startswith(("    openenv ", "  openenv ")) for line in examples) > 1, done.output


def test_version_names_the_distribution() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert (done.exit_code, done.output) == (0, f"openenv-async {__version__}\n")


def test_an_unknown_command_is_an_error_of_use() -> None:
    done = CliRunner().invoke(main, ["inti"])
    assert done.exit_code == 2
    assert "No such command 'inti'" in done.stderr
