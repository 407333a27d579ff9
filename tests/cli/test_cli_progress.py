"""Long commands show on a terminal that they go on, and write plain lines elsewhere; NO_COLOR and --quiet hold."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from requirements import requirement
from support.serve_command import Serving, serving
from support.terminal import LONG_S, ROOT, piped, terminal, wait_for

from openenv_async.cli import COMMANDS, main
from openenv_async.cli.progress import Progress, is_quiet, quiet_option, say

ECHO = str(ROOT / "examples" / "echo_env")
LONG = ("build", "push", "check", "validate", "replay")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(ECHO, "--port", "0", cwd=tmp_path, bound_s=LONG_S) as running:
        running.address = running.url()
        yield running


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@requirement("progress:terminal")
def test_check_shows_what_it_tries_and_leaves_whole_rows(server: Serving) -> None:
    with terminal("check", server.address) as shown:
        assert shown.end() == 0
        text = shown.text
    assert re.search(rb"\r\x1b\[2Khealth +\S", shown.raw) and b"\x1b[32mheld" in shown.raw
    # What was drawn over is gone: a row for each finding, and nothing twice.
    assert text.count("lost-socket") == len(re.findall(r"^lost-socket +held ", text, re.MULTILINE)) == 1
    assert re.search(r"^Held: \d+ held, 0 broke", text, re.MULTILINE)
    plain = piped("check", server.address)
    assert "\x1b" not in plain.stdout and "\r" not in plain.stdout
    assert len(re.findall(r"^health ", plain.stdout, re.MULTILINE)) == 1


@requirement("progress:terminal", "progress:quiet")
def test_validate_shows_its_checks_and_quiet_only_the_verdict(server: Serving) -> None:
    with terminal("validate", server.address, columns=100, lines=40) as shown:
        assert shown.end() == 0
    assert re.search(rb"\r\x1b\[2K +seed", shown.raw) and b"\x1b[32m" in shown.raw
    assert "Validating http" in shown.text and "\nValid: " in shown.text
    for arguments in (["--quiet", "validate", server.address], ["validate", server.address, "-q"]):
        with terminal(*arguments) as shown:
            assert shown.end() == 0
        assert re.fullmatch(r"Valid: \d+ ok.*", shown.text), shown.text
    quiet = piped("check", "--quiet", server.address)
    assert quiet.returncode == 0 and re.fullmatch(r"Held: [^\n]*\n", quiet.stdout)


@requirement("progress:quiet")
@pytest.mark.parametrize("command", ["check", "validate"])
def test_no_color_leaves_the_colours_out(command: str, server: Serving) -> None:
    with terminal(command, server.address, NO_COLOR="1", lines=60) as shown:
        assert shown.end() == 0
    assert not re.search(rb"\x1b\[[\d;]*m", shown.raw)
    assert b"\x1b[2K" in shown.raw


@requirement("progress:quiet")
def test_a_quiet_server_says_where_it_listens_in_one_line(tmp_path: Path) -> None:
    with serving(ECHO, "--port", "0", cwd=tmp_path, bound_s=LONG_S) as loud:
        loud.url()
        loud.process.terminate()
        assert "Connect from Python" in loud.end()[1]
    with terminal("--quiet", "serve", ECHO, "--port", "0") as quiet:
        quiet.until(lambda text: "Serving" in text)
        quiet.process.terminate()
        assert quiet.end() == 0
        assert "Connect from" not in quiet.text


@requirement("progress:quiet")
@pytest.mark.parametrize("name", LONG)
def test_every_long_command_takes_quiet_itself(name: str) -> None:
    said = CliRunner().invoke(main, [name, "--help"])
    assert said.exit_code == 0 and re.search(r"-q, --quiet ", said.output)
    assert set(LONG) < set(COMMANDS)


def test_quiet_counts_for_the_group_and_for_the_command() -> None:
    @click.group()
    @quiet_option
    def group() -> None: ...

    @group.command()
    @quiet_option
    def work() -> None:
        say("on the way")
        click.echo(f"done {is_quiet()}")

    runner = CliRunner()
    assert runner.invoke(group, ["work"]).output == "on the way\ndone False\n"
    assert runner.invoke(group, ["-q", "work"]).output == runner.invoke(group, ["work", "-q"]).output == "done True\n"
    assert not is_quiet()


@requirement("progress:terminal")
def test_the_clock_goes_on_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Screen()
    with Progress(stream) as progress:
        progress.doing("building")
        wait_for(lambda: re.search(r"building.*[1-9] s", stream.getvalue()))
        progress.line("a line")
        progress.doing("")
        assert stream.getvalue().endswith("\r\x1b[2K")
        progress.doing("building")
        progress.keep("built")
    assert stream.getvalue().endswith("\r\x1b[2Kbuilt\n")
    # The clock has stopped with it.
    assert progress._ticker is not None
    progress._ticker.join(5)
    assert not progress._ticker.is_alive() and stream.getvalue().endswith("built\n")


@requirement("progress:terminal")
@pytest.mark.parametrize("kind", ["pipe", "dumb"])
def test_elsewhere_nothing_is_drawn_over(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if kind == "dumb" else "xterm")
    stream = io.StringIO() if kind == "pipe" else Screen()
    with Progress(stream, plain=True) as progress:
        progress.doing("one")
        progress.doing("one", "detail")
        progress.doing("two")
        progress.line("whole")
    assert stream.getvalue() == "one\ntwo\nwhole\n"
