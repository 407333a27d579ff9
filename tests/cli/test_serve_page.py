"""`openenv serve --interface`: the web page from the command line, and through a restart."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
from requirements import requirement
from support.serve_command import serving, write_env


@requirement("web:off")
@pytest.mark.parametrize(
    ("option", "variable", "on"),
    [
        ("--interface", "", True),
        ("--no-interface", "true", False),
        (None, "true", True),
        (None, "", False),
    ],
)
def test_an_option_turns_the_page_on(option: str | None, variable: str, on: bool, tmp_path: Path) -> None:
    write_env(tmp_path / "my_env", "relative")
    options = [option] if option else []
    variables = {"ENABLE_WEB_INTERFACE": variable}
    with serving("my_env", "--port", "0", *options, cwd=tmp_path, variables=variables) as server:
        url = server.url()
        assert httpx.get(f"{url}/web/").status_code == (200 if on else 404)
        server.process.send_signal(signal.SIGTERM)
        _, text = server.end()
    assert (f"Play by hand in a browser: {url}/web/" in text) is on


@requirement("web:off")
def test_a_server_that_restarts_on_changes_has_the_page(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env", "relative")
    with serving("my_env", "--port", "0", "--reload", "--interface", cwd=tmp_path) as server:
        assert httpx.get(f"{server.url()}/web/main.js").status_code == 200


def test_an_app_of_another_kind_is_told_to_have_no_page(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("async def app(scope, receive, send): ...\n")
    with serving("plain:app", "--port", "0", "--interface", cwd=tmp_path) as server:
        server.url()
        server.process.send_signal(signal.SIGTERM)
        _, text = server.end()
    assert "plain is not an app of create_app, so nothing enforces --interface." in text
