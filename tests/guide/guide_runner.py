"""Runs the commands of a page and returns the page with their output."""

from __future__ import annotations

import os
import queue
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

COMMAND_S = 240.0
SERVER_LINES_S = 30.0

# What differs from run to run, and what the page says instead.
VARYING = [
    (re.compile(r"sha256:[0-9a-f]{12,64}"), "sha256:DIGEST"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\d+(?:[.,]\d+)* ?(s|ms|kB|MB|GB|KiB|MiB|B|bytes)\b"), r"N \1"),
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    # Columns are as wide as what varies.
    (re.compile(r"(?<=\S)[ \t]+"), " "),
]


def plain(text: str, here: Path) -> str:
    """Write a line as the page does."""
    text = text.replace(str(here), "~")
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text.rstrip()


@dataclass
class Runner:
    """A shell that knows `cd`, `openenv`, `python`, and servers in the background."""

    folder: Path
    home: Path
    base_image: str | None = None
    """Stands in for the images of a registry that tests cannot count on."""
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, command: str) -> list[str]:
        """Run one command; return the lines of both streams together."""
        background = command.endswith("&")
        words = shlex.split(command.removesuffix("&"))
        if words[0] == "cd":
            self.folder = self.folder / words[1]
            return []
        if words[0] == "openenv":
            words[:1] = [sys.executable, "-m", "openenv_async.cli"]
        elif words[0] == "python":
            words[0] = sys.executable
        if background:
            return self._serve(words)
        done = subprocess.run(
            words,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
            env=self._environment(),
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return self._lines(done.stdout.splitlines())

    def _serve(self, words: list[str]) -> list[str]:
        server = subprocess.Popen(
            words,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment() | {"PYTHONUNBUFFERED": "1"},
        )
        self.servers.append(server)
        said: queue.Queue[str] = queue.Queue()

        def read() -> None:
            assert server.stdout is not None
            for line in server.stdout:
                said.put(line)

        threading.Thread(target=read, daemon=True).start()
        return self._lines([said.get(timeout=SERVER_LINES_S)])

    def close(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.terminate()
            server.wait(30)
            if server.stdout is not None:
                server.stdout.close()

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "NO_COLOR": "1",
            "PYTEST_ADDOPTS": "-p no:asyncio",
            "COLUMNS": "110",
            "HF_TOKEN": "",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _lines(self, lines: list[str]) -> list[str]:
        return [line for line in (plain(each, self.home) for each in lines) if line]


BLOCK = re.compile(r"(?P<head>(?:<!-- (?P<needs>\w+) -->\n)?```console\n)(?P<body>.*?)```", re.DOTALL)


def played(page: str, runner: Runner) -> str:
    """Return the page as it would be written now.

    A block that needs an engine is run if there is a base image, and stays as it is: what it prints is Docker's.
    """

    def block(found: re.Match[str]) -> str:
        commands = [line[2:] for line in found["body"].splitlines() if line.startswith("$ ")]
        if found["needs"] == "engine":
            for command in commands if runner.base_image else []:
                runner.run(f"{command} --base-image {runner.base_image}")
            return found[0]
        lines: list[str] = []
        for command in commands:
            lines += [f"$ {command}", *runner.run(command)]
        return found["head"] + "\n".join(lines) + "\n```"

    return BLOCK.sub(block, page)
