"""`openenv serve --certfile --keyfile`: an https address, and one clear line for what is wrong with the files."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from requirements import requirement
from support.certificates import certificates

from openenv_async.cli import main
from openenv_sync import SyncEnv

ENVIRONMENT = """\
from openenv_async import Action, Environment, Observation, State

class Say(Action):
    text: str

class Heard(Observation):
    text: str = ""

class Echo(Environment[Say, Heard, State]):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Heard:
        return Heard()
    def step(self, action: Say) -> Heard:
        return Heard(text=action.text)
    @property
    def state(self) -> State:
        return State()
"""


@requirement("tls:command")
@pytest.mark.parametrize("reload", [False, True])
def test_it_serves_https_and_says_so(tmp_path: Path, reload: bool) -> None:
    files = certificates(tmp_path)
    (tmp_path / "echoing.py").write_text(ENVIRONMENT)
    command = [sys.executable, "-m", "openenv_async.cli", "serve", "echoing:Echo", "--port", "0"]
    command += ["--certfile", str(files.certfile), "--keyfile", str(files.keyfile), *["--reload"] * reload]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        bomb = threading.Timer(40, process.kill)
        bomb.start()
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("Serving"))
            url = line.partition(" on ")[2].split()[0].rstrip(".")
            assert url.startswith("https://127.0.0.1:")
            with SyncEnv(base_url=url, ca_file=files.ca_file) as env:
                env.reset()
                assert env.step({"text": "hello"}).observation["text"] == "hello"
            process.terminate()
            assert process.wait(20) == 0
        finally:
            bomb.cancel()
            process.kill()


def ask(folder: Path, *arguments: object) -> Result:
    (folder / "echoing.py").write_text(ENVIRONMENT)
    return CliRunner().invoke(main, ["serve", str(folder / "echoing.py"), *map(str, arguments)])


@requirement("tls:command")
@pytest.mark.parametrize("case", ["no such file", "a folder", "no certificate", "another's key", "no key"])
def test_files_that_cannot_be_used_are_one_line_and_exit_code_1(tmp_path: Path, case: str) -> None:
    (tmp_path / "other").mkdir()
    files, others = certificates(tmp_path), certificates(tmp_path / "other")
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    certfile, keyfile, words = {
        "no such file": (tmp_path / "none.pem", files.keyfile, "cannot read"),
        "a folder": (files.certfile, tmp_path, "cannot read"),
        "no certificate": (junk, files.keyfile, "no certificate with its private key"),
        "another's key": (files.certfile, others.keyfile, "is not the one of the certificate"),
        "no key": (files.certfile, None, "--keyfile"),
    }[case]
    said = ask(tmp_path, "--certfile", certfile, *(["--keyfile", keyfile] if keyfile else []))
    assert said.exit_code == 1
    assert words in said.output
    assert len(said.output.strip().splitlines()) == 1


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    files = certificates(tmp_path)
    key = load_pem_private_key(files.keyfile.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    files.keyfile.write_bytes(locked)
    said = ask(tmp_path, "--certfile", files.certfile, "--keyfile", files.keyfile)
    assert (said.exit_code, "has a password" in said.output) == (1, True)


@pytest.mark.parametrize("arguments", [("--keyfile", "k.pem"), ("--certfile", "c.pem", "--unix", "s.sock")])
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert ask(tmp_path, *arguments).exit_code == 2
