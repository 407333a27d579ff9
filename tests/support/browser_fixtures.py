"""What the browser tests get: a real Chromium, and servers in threads of their own, beside Playwright's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.types import ASGIApp

from openenv_async.server.runner import ServeOptions, serve
from support.servers import BOUND_S, Bind

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-component-update "
    "--disable-sync --disable-dev-shm-usage --hide-scrollbars"
).split()
DESKTOP = (1280, 860)
PHONE = (390, 844)


def chromium() -> str | None:
    """Give the program; `OPENENV_CHROMIUM` names another one."""
    return os.environ.get("OPENENV_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file of tests: longer would leave Playwright's event loop around that of others."""
    program = chromium()
    if program is None:
        pytest.skip("there is no Chromium: tests/browser/browser.sh installs it on Debian")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    playwright.expect.set_options(timeout=BOUND_S * 1000)
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=FLAGS, headless=True)
        try:
            yield running
        finally:
            running.close()


class Visit:
    """A tab, and everything that went wrong in it."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context, self.page = context, page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.errors.append(f"a dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Gives tabs; a test that leaves errors in the console of one fails."""
    visits: list[tuple[Visit, bool]] = []

    def open_tab(
        url: str, *, dark: bool = False, size: tuple[int, int] = DESKTOP, calm: bool = True, **options: Any
    ) -> Visit:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", **options
        )
        context.set_default_timeout(BOUND_S * 1000)
        made = Visit(context, context.new_page())
        visits.append((made, calm))
        made.page.goto(url)
        return made

    yield open_tab
    for made, calm in visits:
        made.context.close()
        assert not (calm and made.errors), made.errors


class Site:
    """A server in a thread of its own. It can be stopped and started again at the same address."""

    def __init__(self, app: Callable[[], ASGIApp], bind: Bind = ("127.0.0.1", 0)) -> None:
        self._app, self._bind = app, bind
        self.url = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._problem: BaseException | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(BOUND_S) and self.url, self._problem

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as problem:
            self._problem = problem
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        def bound(urls: list[str]) -> None:
            self.url = urls[0]
            self._bind = ("127.0.0.1", int(self.url.rpartition(":")[2]))
            ready.set()

        options = ServeOptions(grace_s=0.2, linger_s=0.2)
        await serve(self._app(), bind=[self._bind], options=options, ready=bound, stop=self._stop)

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._stop is None:
            return
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive(), "the server does not stop"
        self._thread = None


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Gives servers, started; `make` gives the app."""
    sites: list[Site] = []

    def start(make: Callable[[], ASGIApp]) -> Site:
        made = Site(make)
        sites.append(made)
        made.start()
        return made

    yield start
    for made in sites:
        made.stop()


def shots() -> Path | None:
    """Where screenshots of the tests go; None: nobody wants them."""
    folder = os.environ.get("OPENENV_SHOTS")
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
