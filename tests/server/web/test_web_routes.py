"""What the server does for its web page: off by default, files under a strict policy, tickets, and two questions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from requirements import requirement
from support import ROOT
from support.drawing_envs import (
    DRAWERS,
    DrawAction,
    DrawEnvironment,
    DrawObservation,
    WrongEnvironment,
    drawer_app,
    page_socket,
)
from support.raw_clients import raw_socket
from support.servers import bounded, serving
from websockets.exceptions import InvalidStatus

from openenv_async import create_app
from openenv_async.server.web.files import page_files
from openenv_async.server.web.page_auth import LIFETIME_S, PREFIX, PageAccess, Tickets

TOKEN = "correct-horse-battery"
BEARER = {"authorization": f"Bearer {TOKEN}"}
PAGE = ROOT / "openenv_async" / "server" / "web" / "page"
MOST_BYTES = 150 * 1024


@requirement("web:off")
async def test_there_is_no_page_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENABLE_WEB_INTERFACE", raising=False)
    async with serving(drawer_app()) as served, httpx.AsyncClient(base_url=served.url) as client:
        for path in ("/", "/web", "/web/", "/web/about.json", "/web/capacity.json", "/web/main.js"):
            assert (await client.get(path)).status_code == 404, path
        async with page_socket(served.url) as socket:
            assert socket.subprotocol is None
            await socket.send('{"type":"metadata"}')
            assert json.loads(await bounded(socket.recv()))["data"]["code"] == "UNKNOWN_TYPE"


@requirement("web:off")
@pytest.mark.parametrize(
    ("variable", "argument", "on"),
    [("true", None, True), ("1", None, True), ("0", None, False), ("", None, False)]
    + [("true", False, False), ("false", True, True)],
)
def test_the_argument_counts_over_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, argument: bool | None, on: bool
) -> None:
    monkeypatch.setenv("ENABLE_WEB_INTERFACE", variable)
    app = create_app(DrawEnvironment, DrawAction, DrawObservation, interface=argument)
    assert app.server.settings.interface is on
    assert ("/web/" in {getattr(route, "path", "") for route in app.routes}) is on


@requirement("web:policy")
async def test_every_file_is_served_under_a_strict_policy() -> None:
    async with serving(drawer_app(interface=True)) as served, httpx.AsyncClient(base_url=served.url) as client:
        for path in ("/", "/web"):
            led = await client.get(path)
            assert (led.status_code, led.headers["location"]) == (307, "web/")
        index = await client.get("/web/")
        assert index.headers["content-type"] == "text/html; charset=utf-8"
        policy = index.headers["content-security-policy"]
        for said in ("default-src 'none'", "script-src 'self';", "style-src 'self';", "base-uri 'none'"):
            assert said in policy
        assert "unsafe" not in policy and "frame-ancestors 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy
        frame = (await client.get("/web/frame.html")).headers["content-security-policy"]
        assert "sandbox allow-scripts;" in frame and "allow-same-origin" not in frame
        assert re.search(r"script-src 'sha256-[\w+/]+=*';", frame) and "default-src 'none'" in frame
        for name in page_files():
            answer = await client.get(f"/web/{name}")
            assert answer.status_code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = await client.get(f"/web/{name}", headers={"if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        for path in ("/web/nothing.js", "/web/../http.py", "/web/%2e%2e/http.py", "/web/..%2fhttp.py"):
            assert (await client.get(path)).status_code == 404, path


@requirement("web:small")
def test_the_page_is_small_and_nothing_in_it_is_from_elsewhere() -> None:
    files = sorted(PAGE.iterdir())
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert {file.name for file in files} == set(page_files())
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, file.name
        if file.suffix == ".js":
            assert re.match(r"//.*\S", text), f"{file.name} does not say what it is"
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        foreign = re.findall(
            r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}", re.sub(r"http://www\.w3\.org/2000/svg", "", text)
        )
        assert not foreign, (file.name, foreign)
        assert not re.search(r"<\w+[^>]*\s(?:on\w+|style)=", text) or file.suffix != ".html", file.name


@requirement("web:frame")
@pytest.mark.parametrize(
    ("space", "origins", "ancestors"),
    [
        ("", (), "frame-ancestors 'self'"),
        ("me/env", (), "frame-ancestors 'self' https://huggingface.co https://*.hf.space"),
        ("", ("https://mine.example",), "frame-ancestors 'self' https://mine.example"),
        ("", ("https://x.example; script-src *",), "frame-ancestors 'self'"),
    ],
)
async def test_the_hub_and_whoever_is_let_in_may_frame_the_page(
    monkeypatch: pytest.MonkeyPatch, space: str, origins: tuple[str, ...], ancestors: str
) -> None:
    monkeypatch.setenv("SPACE_ID", space)
    app = drawer_app(interface=True, allow_origins=origins)
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        for path in ("/web/", "/web/frame.html"):
            policy = (await client.get(path)).headers["content-security-policy"]
            assert policy.rpartition("; ")[2] == ancestors


@requirement("web:token")
async def test_with_a_token_only_the_files_are_open() -> None:
    app = drawer_app(interface=True, token=TOKEN)
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        for path in ("/web/", "/web/main.js", "/web/frame.html"):
            assert (await client.get(path)).status_code == 200
        for path in ("/web/about.json", "/web/capacity.json", "/web/nothing", "/metadata", "/web/ticket"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.post("/web/ticket")).status_code == 401
        assert (await client.get("/web/about.json", headers=BEARER)).status_code == 200
        told = (await client.post("/web/ticket", headers=BEARER)).json()
        assert told["expires_in_s"] == LIFETIME_S and TOKEN not in told["ticket"]
        for offered in ([], [PREFIX + "1.2.3"], [PREFIX + told["ticket"] + "0"], [PREFIX], [PREFIX + TOKEN]):
            with pytest.raises(InvalidStatus) as refused:
                async with page_socket(served.url, *offered):
                    pass
            assert refused.value.response.status_code == 401
        async with page_socket(served.url, PREFIX + told["ticket"]) as socket:
            assert socket.subprotocol == "openenv-web.v1"
            await socket.send('{"type":"metadata"}')
            assert json.loads(await bounded(socket.recv()))["data"]["description"] == "Draws."
        with pytest.raises(InvalidStatus):  # it is good once
            async with page_socket(served.url, PREFIX + told["ticket"]):
                pass
        foreign = {"origin": "https://evil.example"}
        assert (await client.post("/web/ticket", headers=BEARER | foreign)).status_code == 403


@requirement("web:token")
def test_a_ticket_is_good_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets, others = Tickets(TOKEN), Tickets("another")
    ticket = tickets.issue()
    assert not others.take(ticket)
    assert Tickets(TOKEN).take(ticket), "another process with the same token knows it"
    assert tickets.take(ticket) and not tickets.take(ticket)
    for wrong in ("", ".", "a.b.c", ticket[:-1], "ü" + ticket, ticket + "\n"):
        assert not tickets.take(wrong)
    late = tickets.issue()
    now = int(late.partition(".")[0])
    monkeypatch.setattr("openenv_async.server.web.page_auth.time.time", lambda: now + 1.0)
    assert not tickets.take(late)


def test_a_ticket_opens_nothing_else() -> None:
    gate = PageAccess(True, TOKEN)
    assert gate.tickets is not None
    assert not gate.admits("/mcp", [PREFIX + gate.tickets.issue()])
    assert not gate.admits("/ws", [PREFIX + gate.tickets.issue(), PREFIX + gate.tickets.issue()])
    assert gate.admits("/ws", ["other", PREFIX + gate.tickets.issue()])
    off = PageAccess(False, TOKEN)
    assert off.tickets is not None and not off.admits("/ws", [PREFIX + off.tickets.issue()])
    assert not off.shows("/web/main.js") and gate.shows("/web/main.js") and not gate.shows("/web/about.json")


@requirement("web:reset-arguments")
async def test_about_tells_what_the_page_needs() -> None:
    app = drawer_app(interface=True)
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        about = (await client.get("/web/about.json")).json()
        assert about["name"] == about["title"] == "DrawEnvironment"
        assert about["draws"] is True
        reset = about["schemas"]["reset"]
        assert list(reset["properties"]) == ["seed", "start", "level"]
        assert reset["properties"]["level"]["enum"] == ["easy", "hard"]
        assert reset["properties"]["level"]["default"] == "easy"
        assert reset["required"] == ["start"] and reset["additionalProperties"] is False
        assert reset["properties"]["start"]["properties"] == {"x": {"type": "integer"}}
        capacity = (await client.get("/web/capacity.json")).json()
        assert (capacity["active"], capacity["max"]) == (0, 1024)


@requirement("web:drawing")
@pytest.mark.parametrize("env", DRAWERS)
@pytest.mark.parametrize("execution", [None, "inline", "thread", "process"])
async def test_drawings_come_from_where_the_environment_lives(env: type[Any], execution: str | None) -> None:
    app = drawer_app(env, interface=True, execution=execution)
    async with serving(app) as served, page_socket(served.url) as socket:
        await socket.send('{"type":"reset","data":{"start":{"x":1}}}')
        assert json.loads(await bounded(socket.recv()))["type"] == "observation"
        for done in (False, True):
            await socket.send(json.dumps({"type": "web", "data": {"text": "<hi>", "reward": None, "done": done}}))
            answer = json.loads(await bounded(socket.recv()))
            assert answer["type"] == "web"
            actions = [
                {"label": "Go", "action": {"text": "go"}},
                {"label": "Say", "action": {"text": "s", "metadata": {}}},
            ]
            on_loop = env.__name__ == "AsyncDraw" or execution == "inline"
            where = "elsewhere" if execution == "process" else "loop" if on_loop else "thread"
            assert answer["data"]["html"] == f"<p>&lt;hi&gt; {where}</p>"
            assert answer["data"]["actions"] == ([] if done else actions)
        await socket.send('{"type":"metadata"}')
        assert json.loads(await bounded(socket.recv()))["data"]["description"] == "Draws."
        assert app.server.registry.active == 1


@requirement("web:drawing-fails")
async def test_a_wrong_drawing_is_an_error_and_the_session_lives() -> None:
    async with serving(drawer_app(WrongEnvironment, interface=True)) as served, page_socket(served.url) as socket:
        for text, told in (
            ("number", "render_web() returned int; it must return HTML as text, or None"),
            ("pairs", "web_actions() must return pairs of a label and an action"),
            ("raise", "no pencil"),
        ):
            await socket.send(json.dumps({"type": "web", "data": {"text": text}}))
            error = json.loads(await bounded(socket.recv()))
            assert (error["type"], error["data"]["message"]) == ("error", told)
        for raw in ('{"type":"web"}', '{"type":"web","data":[]}', '{"type":"web","data":1}'):
            await socket.send(raw)
            assert json.loads(await bounded(socket.recv()))["data"]["code"] == "VALIDATION_ERROR"
        await socket.send('{"type":"web","data":{}')
        assert json.loads(await bounded(socket.recv()))["data"]["code"] == "INVALID_JSON"
        await socket.send('{"type":"state"}')
        assert json.loads(await bounded(socket.recv()))["type"] == "state"


@requirement("web:drawing")
async def test_what_the_page_asks_beside_calls_is_in_no_recording(tmp_path: Path) -> None:
    app = drawer_app(interface=True, record=tmp_path)
    async with serving(app) as served, page_socket(served.url) as socket:
        for asked in ({"type": "metadata"}, {"type": "web", "data": {"text": ""}}, {"type": "state"}):
            await socket.send(json.dumps(asked))
            assert json.loads(await bounded(socket.recv()))["type"] == asked["type"]
    assert recorded(tmp_path) == ["session", "state", "end"]


def recorded(folder: Path) -> list[str]:
    [file] = folder.rglob("*.jsonl")
    return [json.loads(line)["type"] for line in file.read_text().splitlines()]


@requirement("web:other-wires")
async def test_without_the_pages_subprotocol_its_questions_are_unknown() -> None:
    async with serving(drawer_app(interface=True)) as served, raw_socket(served.url, native=False) as socket:
        for kind in ("web", "metadata"):
            await socket.send(json.dumps({"type": kind, "data": {}}))
            assert json.loads(await bounded(socket.recv()))["data"]["code"] == "UNKNOWN_TYPE"
