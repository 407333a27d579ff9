"""docs/native-wire.md describes the frames as protocol/frames.py declares them, and its client plays.

`python tests/protocol/test_native_wire_page.py --write` writes the page.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openenv_async import Environment, create_app
from openenv_async.codec import ext
from openenv_async.limits import Limits
from openenv_async.protocol import frames
from openenv_async.server.native import hello

PAGE = Path(__file__).parents[2] / "docs" / "native-wire.md"
TEXT = Path(__file__).parent / "native_wire_page.md"

TYPES = {
    "int": "integer",
    "bool": "boolean",
    "bytes": "bytes",
    "str": "text",
    "Trace": "text, 256 characters at most",
    "float": "number",
    "float | None": "number or nil",
    "msgspec.Raw": "any value",
    "dict[str, Any]": "map",
    "list[str]": "array of text",
}


def default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if field.default is msgspec.NODEFAULT:
        return "required"
    return "nil" if field.default is None else f"`{field.default!r}`".replace("'", '"')


def section(frame: type[frames.Frame]) -> str:
    tag = frame.__struct_config__.tag
    text = re.sub(r"^(Client|Server|Either side): ", "", inspect.getdoc(frame) or "")
    text = text[:1].upper() + text[1:]
    rows = [
        f"| {position} | `{field.name}` | {TYPES[frame.__annotations__[field.name]]} | {default(field)} |"
        for position, field in enumerate(msgspec.structs.fields(frame), start=1)
    ]
    table = "\n".join(["| position | field | type | default |", "|---|---|---|---|", f"| 0 | tag | `{tag}` | |", *rows])
    return f"### {frame.__name__}: tag {tag}\n\n{text}\n\n{table}\n"


def sections(chosen: tuple[type[frames.Frame], ...]) -> str:
    by_tag = sorted(chosen, key=lambda frame: int(frame.__struct_config__.tag or 0))
    return "\n".join(section(frame) for frame in by_tag)


def page() -> str:
    text = TEXT.read_text(encoding="utf-8")
    both = tuple(frame for frame in frames.CLIENT_FRAMES if frame in frames.SERVER_FRAMES)
    parts = {
        "<!-- frames of both sides -->": both,
        "<!-- frames of the client -->": tuple(frame for frame in frames.CLIENT_FRAMES if frame not in both),
        "<!-- frames of the server -->": tuple(frame for frame in frames.SERVER_FRAMES if frame not in both),
    }
    for place, chosen in parts.items():
        assert place in text
        text = text.replace(place + "\n", sections(chosen))
    return text


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), "run `python tests/protocol/test_native_wire_page.py --write`"


def test_the_page_names_every_feature_limit_and_extension() -> None:
    first = hello("id", Limits(), traces=True)
    for name in [*first.features, *first.limits]:
        assert f"| `{name}` |" in page()
    assert f"`{frames.SUBPROTOCOL}`" in page()
    for code in (ext.ARRAY, ext.BIG_INTEGER, ext.TEXT, ext.COMPLEX):
        assert f"| {code} |" in page()


class Doubles(Environment[Any, Any, Any]):
    """Returns twice the number that it is given."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return {"n": 0, "done": False}

    def step(self, action: Any) -> Any:
        return {"n": 2 * action["n"], "reward": 1.0, "done": True}

    @property
    def state(self) -> Any:
        return {}


async def test_the_client_of_the_page_plays(capsys: pytest.CaptureFixture[str]) -> None:
    from support.servers import serving

    (code,) = re.findall(r"```python\n(.*?)```", page(), flags=re.DOTALL)
    scope: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, str(PAGE), "exec"), scope)
    async with serving(create_app(Doubles, dict, dict)) as served:
        await scope["play"](served.url.replace("http", "ws") + "/ws")
    assert capsys.readouterr().out.splitlines()[-1] == "{'n': 4, 'reward': 1.0, 'done': True}"


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    PAGE.write_text(page(), encoding="utf-8")
