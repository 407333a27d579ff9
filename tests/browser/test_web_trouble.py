"""What goes wrong around a page: errors, full and restarted servers, tokens, prefixes, pages that nobody uses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from requirements import requirement
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from support.browser_fixtures import Site, Visit
from support.operator_client import operator_headers
from support.web_compat_env import lamp_app
from support.web_envs import GATE, EchoEnvironment, FailEnvironment, app

from openenv_async.limits import Limits

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

Open = Callable[..., Visit]
Sites = Callable[..., Site]


def state(page: Page, name: str) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", name)


def reset(page: Page) -> None:
    page.locator("#reset").click()
    expect(page.locator("#timeline .call")).to_have_count(1)
    state(page, "ready")


def echoed(page: Page, words: str) -> None:
    """Play one step of the echo environment."""
    state(page, "ready")
    reset(page)
    page.get_by_label("message").fill(words)
    page.locator("#step").click()
    expect(page.locator("#observation")).to_contain_text(words)


@requirement("web:errors")
def test_errors_are_the_servers_sentences_and_the_episode_goes_on(site: Sites, visit: Open) -> None:
    page = visit(site(lambda: app(FailEnvironment)).url + "/web").page
    state(page, "ready")
    reset(page)
    how = page.get_by_label("how")
    how.select_option(label="raise")
    page.locator("#step").click()
    failed = page.locator("#troubles .failed")
    expect(failed).to_contain_text("EXECUTION_ERROR")
    expect(failed).to_contain_text("the <b>bridge</b> is out")
    expect(page.locator("#observation")).to_contain_text("As it was before")
    expect(page.locator("#timeline .call").nth(1)).to_contain_text("EXECUTION_ERROR")
    how.select_option(label="fine")
    page.locator("#step").click()
    expect(page.locator("#stage-facts")).to_contain_text("reward 1")
    expect(failed).to_have_count(0)
    page.get_by_text("Seed and arguments of Reset").click()
    page.get_by_label("seed").fill("13")
    page.locator("#reset").click()
    expect(failed).to_contain_text("13 brings bad luck")
    expect(page.locator("#step")).to_be_disabled()
    page.get_by_label("seed").fill("-1")
    page.locator("#reset").click()
    expect(page.locator("#reset-fields .problem")).to_have_text("seed must be 0 or more.")


@requirement("web:drawing-fails")
def test_what_cannot_be_drawn_costs_the_drawing_only(site: Sites, visit: Open) -> None:
    page = visit(site(lambda: app(FailEnvironment)).url + "/web").page
    state(page, "ready")
    reset(page)
    page.get_by_label("how").select_option(label="drawing")
    page.locator("#step").click()
    expect(page.locator("#troubles .warned")).to_contain_text("render_web or web_actions: no pencil")
    expect(page.locator("#stage-facts")).to_contain_text("reward 1")
    page.get_by_label("how").select_option(label="fine")
    page.locator("#step").click()
    expect(page.locator("#timeline .call")).to_have_count(3)


@requirement("web:capacity")
def test_a_full_server_is_said_to_be_full_until_a_session_is_free(site: Sites, visit: Open) -> None:
    url = site(lambda: app(EchoEnvironment, max_concurrent_envs=1)).url + "/web"
    first = visit(url)
    state(first.page, "ready")
    second = visit(url).page
    state(second, "refused")
    expect(second.locator("#link")).to_contain_text("No session")
    expect(second.locator("#capacity")).to_have_text("1 of 1 sessions")
    expect(second.locator("#notices")).to_contain_text("It is tried again from time to time.")
    expect(second.locator("#notices")).to_contain_text(re.compile("sessions?|capacity", re.IGNORECASE))
    expect(second.locator("#step")).to_be_disabled()
    first.page.close()
    echoed(second, "my turn")
    expect(second.locator("#notices .notice")).to_have_count(0)


@requirement("web:restart")
def test_a_restarted_server_costs_the_episode_loudly(site: Sites, visit: Open) -> None:
    served = site(lambda: app(EchoEnvironment))
    page = visit(served.url + "/web", calm=False).page  # the browser notes each connection that is refused
    echoed(page, "before")
    served.stop()
    state(page, "lost")
    expect(page.locator("#link")).to_contain_text("Disconnected")
    expect(page.locator("#notices")).to_contain_text("The episode is over: Reset begins another.")
    expect(page.locator("#step")).to_be_disabled()
    expect(page.locator("#timeline .call")).to_have_count(2)
    served.start()
    state(page, "ready")
    expect(page.locator("#step")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#timeline .call")).to_have_count(2)
    echoed(page, "after")


@requirement("web:idle")
def test_a_page_that_nobody_uses_gives_its_session_back(site: Sites, visit: Open) -> None:
    limits = Limits(page_idle_timeout_s=0.6)
    page = visit(site(lambda: app(EchoEnvironment, limits=limits)).url + "/web").page
    state(page, "asleep")
    expect(page.locator("#notices")).to_contain_text("The session was closed")
    expect(page.locator("#capacity")).to_have_text("0 of 1024 sessions")
    page.locator("#reset").click()
    expect(page.locator("#timeline .call")).to_have_count(1)


@requirement("web:errors")
def test_one_need_not_wait_for_an_environment_that_hangs(site: Sites, visit: Open) -> None:
    page = visit(site(lambda: app(FailEnvironment)).url + "/web").page
    state(page, "ready")
    reset(page)
    page.get_by_label("how").select_option(label="hang")
    page.locator("#step").click()
    state(page, "busy")
    page.get_by_role("button", name="Give up").click()
    expect(page.locator("#troubles .failed")).to_contain_text("The connection was lost before the answer came.")
    GATE.set()
    state(page, "ready")
    expect(page.locator("#step")).to_be_disabled()
    expect(page.locator("#waiting")).to_be_hidden()
    reset(page)


@requirement("web:restart")
def test_a_server_that_comes_back_changed_has_other_forms(site: Sites, visit: Open) -> None:
    versions = iter([EchoEnvironment, FailEnvironment])
    served = site(lambda: app(next(versions)))
    page = visit(served.url + "/web", calm=False).page
    state(page, "ready")
    expect(page.get_by_label("message")).to_be_visible()
    served.stop()
    served.start()
    expect(page.locator("#title")).to_have_text("FailEnvironment")
    expect(page.get_by_label("how")).to_be_visible()
    expect(page.get_by_label("message")).to_have_count(0)
    state(page, "ready")
    reset(page)


@requirement("web:errors")
def test_a_server_that_refuses_the_pages_origin_says_so(site: Sites, visit: Open) -> None:
    class Elsewhere:
        """A proxy that calls the server by another name than its users do."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            kept = [(name, value) for name, value in scope.get("headers", ()) if name != b"host"]
            await inner({**scope, "headers": [*kept, (b"host", b"inside:1")]}, receive, send)

    inner = app(EchoEnvironment)
    page = visit(site(Elsewhere).url + "/web", calm=False).page
    expect(page.locator("#notices")).to_contain_text("may not use this server; allow them with --allow-origin http://")


@requirement("web:frame")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_page_of_another_origin_frames_it_only_if_it_may(site: Sites, visit: Open, allowed: bool) -> None:
    async def hub(request: Request) -> HTMLResponse:
        return HTMLResponse(f"<iframe src='{inner.url}/web' width=900 height=700></iframe>")

    outer = site(lambda: Starlette(routes=[Route("/", hub)]))
    elsewhere = outer.url.replace("127.0.0.1", "localhost")
    inner = site(lambda: app(EchoEnvironment, token="t", allow_origins=(elsewhere,) if allowed else ()))
    page = visit(elsewhere, calm=False).page
    framed = page.frame_locator("iframe")
    if not allowed:
        expect(framed.locator("#link")).to_have_count(0)
        assert "/web" not in page.frames[-1].url
        return
    framed.get_by_label("Token").fill("t")
    framed.get_by_label("Token").press("Enter")
    expect(framed.locator("#link")).to_have_attribute("data-state", "ready")
    framed.locator("#reset").click()
    framed.get_by_label("message").fill("framed")
    framed.get_by_label("message").press("Enter")
    expect(framed.locator("#observation")).to_contain_text("framed")


@requirement("web:restart")
def test_a_session_that_an_operator_ends_stays_ended_until_somebody_wants_another(site: Sites, visit: Open) -> None:
    url = site(lambda: app(EchoEnvironment)).url
    page = visit(url + "/web").page
    echoed(page, "before")
    operator = operator_headers(url)
    [session] = httpx.get(f"{url}/sessions", headers=operator).json()["sessions"]
    assert httpx.delete(f"{url}/sessions/{session['id']}", headers=operator).is_success
    state(page, "asleep")
    expect(page.locator("#notices")).to_contain_text("operator")
    expect(page.locator("#notices")).to_contain_text("The episode is over: Reset begins another.")
    assert httpx.get(f"{url}/sessions", headers=operator).json()["sessions"] == []
    page.locator("#reset").click()
    expect(page.locator("#timeline .call")).to_have_count(1)
    state(page, "ready")


class Stripping:
    """A proxy under a prefix that the server behind it knows nothing of, or is told of."""

    def __init__(self, inner: ASGIApp, *, told: bool) -> None:
        self._inner, self._told = inner, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            path = scope["path"]
            assert path.startswith("/deep/down/"), path
            if self._told:
                scope = {**scope, "root_path": "/deep/down"}
            else:
                scope = {**scope, "path": path.removeprefix("/deep/down"), "raw_path": None}
        await self._inner(scope, receive, send)


@requirement("web:prefix")
@pytest.mark.parametrize("how", ["mounted", "stripped", "root path"])
def test_the_page_works_under_a_prefix(site: Sites, visit: Open, how: str) -> None:
    def make() -> ASGIApp:
        inner = app(EchoEnvironment, token="secret")
        if how == "mounted":
            return Starlette(routes=[Mount("/deep/down", inner)])
        return Stripping(inner, told=how == "root path")

    page = visit(site(make).url + "/deep/down/web", calm=False).page
    state(page, "locked")
    page.get_by_label("Token").fill("secret")
    page.keyboard.press("Enter")
    echoed(page, "from below")


@requirement("web:token")
def test_the_page_asks_for_the_token(site: Sites, visit: Open) -> None:
    visited = visit(site(lambda: app(EchoEnvironment, token="correct-horse")).url + "/web", calm=False)
    page = visited.page
    handshakes: list[Any] = []
    asked: list[Any] = []
    page.on("websocket", lambda socket: handshakes.append(socket))
    page.on("request", lambda request: asked.append(request))
    state(page, "locked")
    expect(page.locator("#title")).to_have_text("Environment")
    token = page.get_by_label("Token")
    expect(token).to_be_focused()
    token.fill("wrong-horse")
    page.keyboard.press("Enter")
    expect(page.locator("#token-problem")).to_contain_text("this server needs a token")
    assert not handshakes
    token.fill("correct-horse")
    page.keyboard.press("Enter")
    echoed(page, "let in")
    expect(page.locator("#token")).to_be_hidden()
    page.reload()
    echoed(page, "still in")
    assert len(handshakes) == 2
    assert not any("horse" in socket.url for socket in handshakes)
    assert not any("horse" in request.url for request in asked)
    assert visited.context.cookies() == []


@requirement("web:compat")
def test_an_openenv_app_has_the_same_page(site: Sites, visit: Open) -> None:
    page = visit(site(lamp_app).url + "/web").page
    state(page, "ready")
    expect(page.locator("#title")).to_have_text("lamp")
    expect(page.locator("#capacity")).to_have_text("1 of 2 sessions")
    page.get_by_text("Seed and arguments of Reset").click()
    page.get_by_label("bright").check()
    page.locator("#reset").click()
    drawn = page.frame_locator("iframe.drawing").locator("b")
    expect(drawn).to_have_text("bright, reward 0.0, done False")
    page.get_by_role("button", name="Switch off").click()
    expect(drawn).to_have_text("off, reward 1.0, done True")
    expect(page.locator("#stage-facts")).to_contain_text("done")
    page.locator("#reset").click()
    page.get_by_label("to", exact=True).fill("blue")
    text, other = b" and green", b"\xff\xfe"
    chosen = page.get_by_label("label from a file")
    chosen.set_input_files({"name": "label.txt", "mimeType": "text/plain", "buffer": text})
    expect(page.get_by_label("label optional")).to_have_value(" and green")
    page.locator("#step").click()
    expect(page.locator("#observation")).to_contain_text("blue and green")
    chosen.set_input_files({"name": "label.txt", "mimeType": "text/plain", "buffer": other})
    page.locator("#step").click()
    expect(page.locator("#fields .problem")).to_contain_text("label.txt is no text")
