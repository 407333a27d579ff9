"""How the page looks: axe finds nothing serious, it fits a phone, and `OPENENV_SHOTS=DIR` keeps pictures to look at."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from requirements import requirement
from support.browser_fixtures import DESKTOP, PHONE, Site, Visit, shots
from support.web_envs import ROOT, FailEnvironment, NestedEnvironment, PictureEnvironment, WordleEnvironment, app

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

Open = Callable[..., Visit]
Sites = Callable[..., Site]

SERIOUS = ("serious", "critical")


def audited(page: Page) -> None:
    """Have axe look at the page as it is."""
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found if rule["impact"] in SERIOUS
    ]
    assert serious == []


def fitting(page: Page) -> None:
    """Nothing stands out of the page to the side."""
    width, shown = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= shown


def kept(page: Page, name: str) -> None:
    if folder := shots():
        page.evaluate("scrollTo(0, 0)")  # frames that nobody sees are not painted
        page.screenshot(path=folder / f"{name}.png", full_page=True)


def played(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "ready")
    page.locator("#reset").click()
    expect(page.locator("#timeline .call")).to_have_count(1)


def drawn(page: Page) -> None:
    """The frame has been told how high it is, and moves nothing any more."""
    expect(page.locator("iframe.drawing")).not_to_have_css("height", "128px")


def wordle(page: Page) -> None:
    drawn(page)
    for count, word in enumerate(["crane", "lemon", "zzzzz"], 2):
        page.get_by_label("guess").fill(word)
        page.locator("#step").click()
        expect(page.locator("#timeline .call")).to_have_count(count)
    expect(page.frame_locator("iframe.drawing").locator("span", has_text="c").first).to_be_visible()


def nested(page: Page) -> None:
    page.get_by_role("button", name="Add to points").click()
    page.get_by_role("button", name="Add to weights").click()
    page.locator("#fields").get_by_text("via").click()
    page.get_by_text("Seed and arguments of Reset").click()
    page.locator("#step").click()
    expect(page.locator("#timeline .call")).to_have_count(2)


def pictures(page: Page) -> None:
    page.locator("#step").click()
    expect(page.locator("#timeline .call")).to_have_count(2)


def failing(page: Page) -> None:
    page.get_by_label("how").select_option(label="raise")
    page.locator("#step").click()
    expect(page.locator("#troubles .failed")).to_be_visible()


WORLDS: dict[str, tuple[type[Any], Callable[[Page], None]]] = {
    "wordle": (WordleEnvironment, wordle),
    "nested": (NestedEnvironment, nested),
    "pictures": (PictureEnvironment, pictures),
    "failing": (FailEnvironment, failing),
}


@requirement("web:accessible")
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("world", WORLDS)
def test_axe_finds_nothing_serious(site: Sites, visit: Open, world: str, dark: bool, size: tuple[int, int]) -> None:
    env, play = WORLDS[world]
    name = f"{world}-{'dark' if dark else 'light'}-{'phone' if size == PHONE else 'desktop'}"
    page = visit(site(lambda: app(env)).url + "/web", dark=dark, size=size, reduced_motion="reduce").page
    expect(page.locator("#link")).to_have_attribute("data-state", "ready")
    audited(page)
    played(page)
    play(page)
    audited(page)
    fitting(page)
    kept(page, name)
    if world == "wordle":
        for tab in ("README", "Schemas"):
            page.get_by_role("tab", name=tab).click()
            audited(page)
            fitting(page)
            kept(page, f"{name}-{tab.lower()}")


@requirement("web:accessible")
def test_the_gate_is_accessible(site: Sites, visit: Open) -> None:
    page = visit(site(lambda: app(WordleEnvironment, token="t")).url + "/web", calm=False).page
    expect(page.get_by_label("Token")).to_be_focused()
    audited(page)
    kept(page, "gate")


def test_light_and_dark_can_be_chosen(site: Sites, visit: Open) -> None:
    page = visit(site(lambda: app(WordleEnvironment)).url + "/web", dark=True).page
    played(page)
    drawing = page.frame_locator("iframe.drawing").locator("html")
    expect(drawing).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Change to light colors").click()
    expect(page.locator("body")).to_have_css("background-color", "rgb(245, 244, 240)")
    expect(drawing).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.get_by_role("button", name="Change to dark colors")).to_be_visible()


def test_the_readmes_picture_of_the_page(site: Sites, visit: Open) -> None:
    """With `OPENENV_SCREENSHOTS=1`, as `make screenshots` has it, the picture is made anew."""
    url = site(lambda: app(WordleEnvironment, env_name="wordle_env")).url + "/web"
    page = visit(url, size=(1280, 1160), reduced_motion="reduce").page
    expect(page.locator("#link")).to_have_attribute("data-state", "ready")
    page.get_by_text("Seed and arguments of Reset").click()
    page.locator("#reset-fields").get_by_label("word").fill("lemon")
    page.get_by_text("Seed and arguments of Reset").click()
    page.locator("#reset").click()
    drawn(page)
    for count, word in enumerate(["crane", "melon", "lemon"], 2):
        page.get_by_label("guess").fill(word)
        page.locator("#step").click()
        expect(page.locator("#timeline .call")).to_have_count(count)
    expect(page.locator("#stage-facts")).to_contain_text("done")
    tiles = page.frame_locator("iframe.drawing").locator("span")
    expect(tiles).to_have_count(30)
    if os.environ.get("OPENENV_SCREENSHOTS") == "1":
        target = ROOT / "docs" / "images" / "web.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target)
        assert target.stat().st_size < 150_000
