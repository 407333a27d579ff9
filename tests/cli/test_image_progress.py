"""How progress looks: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from openenv_async.cli.image_progress import Display
from openenv_async.images.progress import BuildKitReader, BuildStep, Lines, Output, Transfer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO) -> str:
    display = Display(stream)
    display(BuildStep(1, 2, "RUN install"))
    display(Output("installing"))
    display(BuildStep(2, 2, "COPY . ."))
    display.end()
    return stream.getvalue()


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_elsewhere_each_step_is_a_plain_line() -> None:
    assert shown(io.StringIO()) == "[1/2] RUN install\n[2/2] COPY . .\n"


def test_a_dumb_terminal_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(Terminal())


def test_on_a_terminal_the_running_step_shows_its_last_line() -> None:
    text = shown(Terminal())
    assert "[1/2] RUN install\x1b[2m  installing\x1b[0m" in text
    assert text.endswith("\r\x1b[2K[2/2] COPY . .\n")


def test_no_color_leaves_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(Terminal())
    assert "[1/2] RUN install  installing" in text
    assert "\x1b[2m" not in text


def test_a_live_line_is_never_wider_than_the_terminal() -> None:
    stream = Terminal()
    display = Display(stream)
    display(BuildStep(1, 1, "RUN " + "x" * 200))
    display.end()
    assert max(len(part) for part in stream.getvalue().replace("\r\x1b[2K", "\n").split("\n")) == 59


def test_layers_on_their_way() -> None:
    stream = io.StringIO()
    display = Display(stream)
    for current in (1, 2, 3):
        display(Transfer("abc", "Pushing", current, 3))
    display(Transfer("abc", "Pushed", 0, 0))
    display(Transfer("abc", "Pushed", 0, 0))
    display.end()
    assert stream.getvalue() == "  abc: Pushed\n"


def test_fragments_become_lines_without_colours() -> None:
    lines = Lines()
    assert list(lines.feed("\x1b[91mone\x1b")) == []
    assert list(lines.feed("[0m\n 10%\r100%\r\ntw")) == ["one", "100%"]
    assert list(lines.end()) == ["tw"]


def test_buildkits_own_lines_are_read() -> None:
    seen: list[object] = []
    reader = BuildKitReader(seen.append)
    for line in (
        "#1 [internal] load build definition",
        "#5 [builder 2/4] RUN make",
        "#5 0.123 making",
        "#5 [builder 2/4] RUN make",
        "#5 DONE 0.2s",
    ):
        reader.line(line)
    assert BuildStep(2, 4, "RUN make") in seen and seen.count(BuildStep(2, 4, "RUN make")) == 1
    assert list(reader.output) == ["making"]
