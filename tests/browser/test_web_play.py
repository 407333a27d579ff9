"""A person plays in a real browser: episodes, forms of every kind, pictures, drawings, the timeline."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from requirements import requirement
from support.browser_fixtures import Site, Visit
from support.web_envs import (
    AsyncLight,
    EchoEnvironment,
    LightEnvironment,
    NestedEnvironment,
    PictureEnvironment,
    WordleEnvironment,
    app,
    png,
)

from openenv_async.codec.encoding import encode_any_msgpack
from openenv_async.recording.values import from_msgpack, to_json

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

Open = Callable[..., Visit]
Sites = Callable[..., Site]


def ready(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "ready")


def calls(page: Page, count: int) -> None:
    expect(page.locator("#timeline .call")).to_have_count(count)
    ready(page)


def visited(site: Sites, visit: Open, env: type[Any], path: str = "/web", **options: Any) -> Page:
    page = visit(site(lambda: app(env)).url + path, **options).page
    ready(page)
    return page


def stepped(page: Page) -> Any:
    """Step once more and give what the environment received."""
    count = page.locator("#timeline .call").count()
    page.locator("#step").click()
    calls(page, count + 1)
    page.locator("#stage-raw").click()
    entry = json.loads(page.locator("#observation pre").inner_text())
    page.locator("#stage-raw").click()
    return entry["observation"]["received"]


@requirement("web:play")
def test_wordle_is_played_to_its_end_by_clicking(site: Sites, visit: Open) -> None:
    page = visited(site, visit, WordleEnvironment)
    expect(page.locator("#title")).to_have_text("WordleEnvironment")
    expect(page.locator("#capacity")).to_have_text("1 of 1024 sessions")
    expect(page.locator("#step")).to_be_disabled()
    page.get_by_text("Seed and arguments of Reset").click()
    page.locator("#reset-fields").get_by_label("word").fill("crane")
    page.locator("#reset").click()
    calls(page, 1)
    for count, word in enumerate(["brick", "crane"], 2):
        page.get_by_label("guess").fill(word)
        page.locator("#step").click()
        calls(page, count)
    expect(page.locator("#stage-title")).to_have_text("Step 2")
    expect(page.locator("#observation")).to_contain_text("Solved.")
    expect(page.locator("#stage-facts")).to_contain_text("done")
    expect(page.locator("#episode-facts")).to_have_text("2 steps, total reward 1")
    board = page.frame_locator("iframe.drawing")
    expect(board.locator("span", has_text="C").first).to_be_visible()
    page.locator("#state").click()
    calls(page, 4)
    expect(page.locator("#observation")).to_contain_text("crane")


@requirement("web:play")
def test_wordle_is_played_to_its_end_by_keyboard(site: Sites, visit: Open) -> None:
    page = visited(site, visit, WordleEnvironment)
    keyboard = page.keyboard
    keyboard.press("r")
    calls(page, 1)
    for count in range(2, 8):
        expect(page.locator("#fields textarea")).to_be_focused()
        keyboard.type("zzzzz")
        keyboard.press("Enter")
        calls(page, count)
    expect(page.locator("#stage-facts")).to_contain_text("done")
    expect(page.locator("#episode-facts")).to_contain_text("6 steps, total reward -0.6")
    expect(page.locator("#reset")).to_be_focused()
    keyboard.press("ArrowLeft")
    expect(page.locator("#stage-title")).to_have_text("Step 5")
    keyboard.press("R")
    calls(page, 1)
    keyboard.press("Escape")
    expect(page.locator("#fields textarea")).not_to_be_focused()
    keyboard.press("R")
    expect(page.locator("#stage-title")).to_have_text("Reset")


@requirement("web:forms")
def test_a_form_asks_for_nested_values_and_unions(site: Sites, visit: Open) -> None:
    page = visited(site, visit, NestedEnvironment)
    page.locator("#reset").click()
    calls(page, 1)
    fields = page.locator("#fields")
    fields.get_by_label("x", exact=True).fill("7")
    fields.get_by_label("speed", exact=False).first.fill("0.25")
    code = fields.get_by_label("code")
    code.fill("def main():")
    code.press("Enter")  # a long text has lines
    code.press_sequentially("  pass")
    fields.get_by_role("button", name="Add to points").click()
    fields.get_by_role("button", name="Add to points").click()
    fields.get_by_role("button", name="Remove points 1").click()
    fields.get_by_role("button", name="Add to weights").click()
    fields.get_by_label("Key in weights").fill("left")
    fields.get_by_label("value", exact=True).first.fill("0.5")
    fields.get_by_text("via").click()
    data = png(4, 4, (1, 2, 3))
    fields.locator("input[type=file]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": data})
    expect(fields.locator(".chosen img")).to_be_visible()
    fields.locator("textarea.code").fill('{"deep": [1, null]}')
    fields.get_by_text("sure").click()
    fields.get_by_label("big").fill("9007199254740993")
    got = stepped(page)
    assert got["command"] == {"kind": "move", "to": {"x": 7, "y": 0}, "speed": 0.25}
    assert got["code"] == "def main():\n  pass"
    assert got["points"] == [{"x": 0, "y": 0}]
    assert got["weights"] == {"left": 0.5}
    assert got["via"] == {"x": 0, "y": 0}
    assert got["file"].startswith("iVBORw0KGgo")
    assert got["value"] == {"deep": [1, None]}
    assert (got["sure"], got["big"], got["tree"]) == (True, 9007199254740993, None)
    fields.locator("select").first.select_option(label="say")
    fields.get_by_role("button", name="Add to words").click()
    fields.get_by_role("textbox", name="words 1").fill("hello")
    fields.get_by_label("mood").select_option(label="angry")
    fields.get_by_text("tree").click()
    fields.get_by_label("name", exact=True).fill("root")
    fields.get_by_role("button", name="Add to branches").click()
    got = stepped(page)
    assert got["command"] == {"kind": "say", "words": ["hello"], "mood": "angry"}
    assert got["tree"] == {"name": "root", "branches": [{"name": "", "branches": []}]}


@requirement("web:forms")
def test_a_form_names_what_is_out_of_bounds_and_goes_over_to_json(site: Sites, visit: Open) -> None:
    page = visited(site, visit, NestedEnvironment)
    page.locator("#reset").click()
    calls(page, 1)
    x = page.locator("#fields").get_by_label("x", exact=True)
    x.fill("10")
    page.locator("#step").click()
    expect(page.locator("#fields .problem")).to_have_text("x must be 9 or less.")
    expect(x).to_be_focused()
    x.fill("9")
    page.locator("#raw").click()
    raw = page.locator("#fields textarea")
    action = json.loads(raw.input_value())
    assert action["command"]["to"]["x"] == 9
    action["metadata"] = {"kept": True}
    action["command"] = {"kind": "wait", "turns": 3}
    raw.fill(json.dumps(action))
    page.locator("#raw").click()
    expect(page.locator("#fields").get_by_label("turns")).to_have_value("3")
    got = stepped(page)
    assert (got["command"], got["metadata"]) == ({"kind": "wait", "turns": 3}, {"kept": True})
    page.locator("#raw").click()
    raw.fill("{")
    page.locator("#step").click()
    expect(page.locator("#fields .problem")).to_contain_text("Action is no JSON")


@requirement("web:forms", "web:reset-arguments")
def test_the_arguments_of_reset_are_the_authors(site: Sites, visit: Open) -> None:
    page = visited(site, visit, NestedEnvironment)
    page.get_by_text("Seed and arguments of Reset").click()
    fields = page.locator("#reset-fields")
    fields.get_by_label("seed").fill("5")
    fields.get_by_label("level").select_option(label="hard")
    fields.get_by_text("start").click()
    fields.get_by_label("x", exact=True).fill("3")
    page.locator("#reset").click()
    calls(page, 1)
    page.locator("#stage-raw").click()
    entry = json.loads(page.locator("#observation pre").inner_text())
    assert entry["observation"]["received"] == {"level": "hard", "start": {"x": 3, "y": 0}, "seed": 5}


@requirement("web:values")
def test_values_are_drawn_as_what_they_are(site: Sites, visit: Open) -> None:
    page = visited(site, visit, PictureEnvironment)
    page.locator("#reset").click()
    calls(page, 1)
    seen = page.locator("#observation")
    for name in ("image", "address"):
        picture = seen.get_by_alt_text(name)
        expect(picture).to_be_visible()
        assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [16, 12]
    canvases = seen.locator("canvas")
    expect(canvases).to_have_count(2)
    pixel = "canvas => [...canvas.getContext('2d').getImageData(31, 23, 1, 1).data]"
    assert canvases.first.evaluate(pixel) == [248, 230, 200, 255]
    expect(seen.locator("table.matrix td")).to_have_count(6)
    expect(seen.get_by_role("columnheader", name="count")).to_be_visible()
    expect(seen.get_by_role("heading", name="Findings")).to_be_visible()
    expect(seen.locator("strong", has_text="well")).to_be_visible()
    expect(seen.locator("pre")).to_have_text("def main():\n    return 1\n")


@requirement("web:sandbox", "web:drawing")
def test_the_authors_html_is_drawn_in_a_frame_that_reaches_nothing(site: Sites, visit: Open) -> None:
    page = visited(site, visit, LightEnvironment, calm=False)
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(answer.url))
    page.locator("#reset").click()
    calls(page, 1)
    lamp = page.frame_locator("iframe.drawing").locator("#lamp")
    expect(lamp).to_have_text("The lamp is off.")
    expect(lamp).to_have_css("color", "rgb(1, 2, 3)")
    frame = page.locator("iframe.drawing")
    assert frame.get_attribute("sandbox") == "allow-scripts"
    expect.soft(frame).to_have_css("height", re.compile(r"^(1[6-9]|2)\d\d?(\.\d+)?px"))
    page.get_by_role("button", name="Red").click()
    expect(lamp).to_have_text("The lamp is red.")
    page.get_by_role("button", name="Green").click()
    expect(lamp).to_have_text("The lamp is green.")
    expect(page.locator("#stage-facts")).to_contain_text("done")
    expect(page.locator("#offers")).to_be_hidden()
    assert page.title() == "LightEnvironment"
    inner = page.frames[-1].evaluate("""() => {
        const tries = {origin: self.origin};
        try { tries.parent = parent.document.title } catch { tries.parent = 'no' }
        try { tries.storage = localStorage.length } catch { tries.storage = 'no' }
        return fetch('/health').then(() => 'yes', () => 'no').then(net => ({...tries, net}));
    }""")
    assert inner == {"origin": "null", "parent": "no", "storage": "no", "net": "no"}
    assert not [url for url in asked if url.endswith(("elsewhere.png", "/x"))]


@requirement("web:drawing")
def test_an_async_environment_draws_too(site: Sites, visit: Open) -> None:
    page = visited(site, visit, AsyncLight)
    page.locator("#reset").click()
    expect(page.frame_locator("iframe.drawing").locator("#lamp")).to_have_text("Awaited: off, False.")


@requirement("web:timeline")
def test_an_episode_is_looked_over_exported_opened_and_replayed(site: Sites, visit: Open, tmp_path: Path) -> None:
    page = visited(site, visit, EchoEnvironment)
    page.locator("#reset").click()
    calls(page, 1)
    for count, word in enumerate(["a", "bcd", "ef"], 2):
        page.get_by_label("message").fill(word)
        page.locator("#step").click()
        calls(page, count)
    expect(page.locator("#chart circle")).to_have_count(3)
    page.locator("#scrub").fill("1")
    expect(page.locator("#stage-title")).to_have_text("Step 1")
    expect(page.locator("#stage-facts")).to_contain_text("an earlier moment")
    page.locator("#timeline .call").nth(2).click()
    expect(page.locator("#observation")).to_contain_text("bcd")
    with page.expect_download() as download:
        page.locator("#export").click()
    file = tmp_path / "episode.jsonl"
    download.value.save_as(file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["type"] for line in lines] == ["session", "reset", "step", "step", "step", "end"]
    assert lines[0]["version"] == 1 and lines[0]["environment"] == "EchoEnvironment"
    assert lines[2]["request"] == {"message": "a"} and lines[2]["observation"]["echoed_message"] == "a"
    assert lines[2]["latency_ms"] > 0 and lines[2]["at"] >= lines[0]["started_at"]
    lines[3]["observation"]["message_length"] = 99
    lines.insert(3, {"type": "of another version"})
    file.write_text("".join(json.dumps({**line, "unknown": 1}) + "\n" for line in lines))
    page.reload()
    ready(page)
    page.locator("#open").set_input_files(file)
    expect(page.locator("#timeline .call")).to_have_count(4)
    expect(page.locator("#episode-facts")).to_contain_text("recording episode.jsonl")
    page.locator("#replay").click()
    told = page.locator("#notices .notice", has_text="4 of 4 calls replayed")
    expect(told).to_contain_text("1 differ, first step 2: observation.message_length is 3, and was 99")
    expect(page.locator("#timeline .call", has_text="differs")).to_have_count(1)
    page.locator("#replay").click()
    expect(page.locator("#notices .notice", has_text="each answered as recorded")).to_be_visible()
    file.write_text("nothing")
    page.locator("#open").set_input_files(file)
    expect(page.locator("#notices")).to_contain_text("episode.jsonl, line 1, is no JSON")


@requirement("web:timeline", "record:values")
def test_values_that_only_the_servers_recording_has_are_shown(site: Sites, visit: Open, tmp_path: Path) -> None:
    frame = numpy.arange(8 * 9 * 3, dtype=">u2").reshape(8, 9, 3)
    given = {
        "picture": png(4, 4, (9, 9, 9)),
        "frame": frame % 256,
        "fortran": numpy.asfortranarray([[1.5, 2.5], [3.5, 4.5]], dtype="f4"),
        "large": 2**63 - 1,
        "nothing": float("nan"),
        "keyed": {1: "one"},
        "single": numpy.int64(7),
    }
    value = to_json(from_msgpack(encode_any_msgpack(given, "observation")))
    lines = [
        {"type": "session", "version": 1, "environment": "elsewhere"},
        {"type": "gap", "calls": 3},
        {"type": "reset", "request": {"start": {"$bytes": "aGk="}}, "observation": value, "reward": {"$float": "nan"}},
        {"type": "end", "reason": "closed"},
    ]
    file = tmp_path / "native.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = visited(site, visit, EchoEnvironment)
    page.locator("#open").set_input_files(file)
    seen = page.locator("#observation")
    expect(seen.get_by_alt_text("picture")).to_be_visible()
    pixel = "canvas => [...canvas.getContext('2d').getImageData(8, 7, 1, 1).data]"
    assert seen.locator("canvas").evaluate(pixel) == [213, 214, 215, 255]
    expect(seen.locator("table.matrix")).to_have_text("1.52.53.54.5")
    for name, text in {"large": str(2**63 - 1), "nothing": "NaN", "keyed": "1one", "single": "7"}.items():
        expect(seen.locator("dt", has_text=re.compile(f"^{name}$")).locator("xpath=..")).to_have_text(name + text)
