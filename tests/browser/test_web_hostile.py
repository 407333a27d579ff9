"""Nothing that an environment says is executed or becomes markup: a corpus of attacks, everywhere at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from requirements import requirement
from support.browser_fixtures import Site, Visit
from support.web_envs import EVIL, EvilAction, EvilEnvironment, EvilObservation

from openenv_async import create_app
from openenv_async.server.app import EnvApp

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

NOT_OURS = (
    "script:not([src='main.js']), iframe:not(.drawing), object, embed, base, meta[http-equiv], math, style, "
    "[onload], [onerror], [onclick]"
)
FOREIGN = f"""() => [...document.querySelectorAll("{NOT_OURS}")].map(node => node.outerHTML)"""

ADDRESSES = "() => [...document.querySelectorAll('a[href]')].map(link => link.href)"


def hostile_app() -> EnvApp:
    return create_app(EvilEnvironment, EvilAction, EvilObservation, env_name=EVIL[0] + EVIL[1], interface=True)


def unharmed(page: Page) -> None:
    assert page.evaluate("window.ran") is None
    assert page.evaluate(FOREIGN) == []
    for address in page.evaluate(ADDRESSES):
        assert address.startswith(("http://", "https://", "mailto:", "data:application/octet-stream;")), address


@requirement("web:hostile", "web:sandbox")
def test_a_hostile_environment_executes_nothing(
    site: Callable[..., Site], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    served = site(hostile_app)
    visited = visit(served.url + "/web", calm=False)
    page = visited.page
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(answer.url))
    expect(page.locator("#link")).to_have_attribute("data-state", "ready")
    assert page.title() == EVIL[0] + EVIL[1]
    expect(page.locator("#title")).to_have_text(EVIL[0] + EVIL[1])
    expect(page.locator("#about")).to_have_text(EVIL[0])
    unharmed(page)
    page.locator("#reset").click()
    expect(page.locator("#timeline .call")).to_have_count(1)
    expect(page.locator("#observation")).to_contain_text(EVIL[1])
    expect(page.locator("#offers button")).to_have_count(len(EVIL))
    page.locator("#observation summary").click()
    unharmed(page)
    page.locator("#stage-raw").click()
    unharmed(page)
    page.locator("#stage-raw").click()
    page.locator("#offers button").nth(1).click()
    expect(page.locator("#timeline .call")).to_have_count(2)
    page.locator("#fields textarea").fill("raise")
    page.locator("#step").click()
    expect(page.locator("#troubles .failed")).to_contain_text(EVIL[1])
    page.locator("#state").click()
    expect(page.locator("#observation")).to_contain_text(EVIL[0])
    unharmed(page)
    for tab in ("README", "Schemas"):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator("[role=tabpanel]:visible")).to_contain_text("window.ran=1")
        unharmed(page)
    page.get_by_role("tab", name="Play").click()
    recording = tmp_path / "<img src=x onerror=window.ran=1>.jsonl"
    lines = [
        {"type": "session", "version": 1, "environment": EVIL[0]},
        {"type": "reset", "request": {EVIL[0]: EVIL[1]}, "observation": {EVIL[1]: EVIL}, "html": EVIL[0]},
        {"type": "step", "request": {"a": EVIL[1]}, "error": {"code": EVIL[1], "message": EVIL[0]}, "warnings": EVIL},
        {"type": "step", "request": "text", "observation": "text", "reward": EVIL[1], "latency_ms": EVIL[1]},
    ]
    recording.write_text("\n".join(map(json.dumps, lines)))
    page.locator("#open").set_input_files(recording)
    for index in range(3):
        page.locator("#timeline .call").nth(index).click()
        unharmed(page)
    frame = page.frames[-1]
    assert frame.url.endswith("/web/frame.html")
    assert frame.evaluate("window.ran") is None
    assert all(url.startswith((served.url, "data:", "blob:")) for url in asked), asked
    assert not [error for error in visited.errors if "dialog" in error]
    assert page.url == served.url + "/web/"
