"""Environments that the browser tests play: forms of every kind, pictures, drawings, and things that go wrong."""

from __future__ import annotations

import base64
import struct
import threading
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from echo_env.models import EchoAction, EchoObservation
from echo_env.server.echo_environment import EchoEnvironment
from msgspec import Meta
from wordle_env.models import WordleAction, WordleObservation, WordleState
from wordle_env.server.wordle_environment import WordleEnvironment

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.environment import EnvironmentMetadata
from openenv_async.server.app import EnvApp


class Point(msgspec.Struct, forbid_unknown_fields=True):
    """A place on the board."""

    x: Annotated[int, Meta(ge=0, le=9, description="From the left")]
    y: Annotated[int, Meta(ge=0, le=9)] = 0


class Move(msgspec.Struct, tag_field="kind", tag="move", forbid_unknown_fields=True):
    to: Point
    speed: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.5


class Say(msgspec.Struct, tag_field="kind", tag="say", forbid_unknown_fields=True):
    words: list[str]
    mood: Literal["calm", "angry"] = "calm"


class Wait(msgspec.Struct, tag_field="kind", tag="wait", forbid_unknown_fields=True):
    turns: int = 1


class Branch(msgspec.Struct):
    """Holds others of its kind."""

    name: str
    branches: list[Branch] = []


class NestedAction(Action):
    """Something of everything."""

    command: Move | Say | Wait
    code: Annotated[str, Meta(max_length=5000)] = ""
    points: list[Point] = []
    weights: dict[str, float] = {}
    via: Point | None = None
    file: bytes | None = None
    tree: Branch | None = None
    value: Any = None
    sure: bool = False
    big: int | None = None


class SeenObservation(Observation):
    received: Any = None
    notes: str = ""


class NestedEnvironment(Environment[NestedAction, SeenObservation, State]):
    """Says what it received."""

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        level: Literal["easy", "hard"] = "easy",
        start: Point | None = None,
    ) -> SeenObservation:
        return SeenObservation(received={"level": level, "start": msgspec.to_builtins(start), "seed": seed})

    def step(self, action: NestedAction) -> SeenObservation:
        return SeenObservation(received=msgspec.to_builtins(action), reward=1.0)

    @property
    def state(self) -> State:
        return State()


def png(width: int, height: int, color: tuple[int, int, int]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(color) * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class ShowAction(Action):
    shade: Annotated[int, Meta(ge=0, le=255)] = 200


class ShowObservation(Observation):
    image: bytes = b""
    address: str = ""
    frame: list[list[list[int]]] = []
    field: list[list[float]] = []
    matrix: list[list[int]] = []
    vector: list[float] = []
    table: list[dict[str, Any]] = []
    report: str = ""
    listing: str = ""


REPORT = "# Findings\n\nAll is **well**; see `main()`.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


class PictureEnvironment(Environment[ShowAction, ShowObservation, State]):
    """Shows pictures, tables and texts."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> ShowObservation:
        return self._shown(200)

    def step(self, action: ShowAction) -> ShowObservation:
        return self._shown(action.shade)

    def _shown(self, shade: int) -> ShowObservation:
        data = png(16, 12, (shade, 60, 40))
        return ShowObservation(
            image=data,
            address="data:image/png;base64," + base64.b64encode(data).decode(),
            frame=[[[x * 8, y * 10, shade] for x in range(32)] for y in range(24)],
            field=[[x * y / 100 - 1 for x in range(20)] for y in range(16)],
            matrix=[[1, 2, 3], [4, 5, 6]],
            vector=[0.5, 1 / 3, 2.0],
            table=[{"name": "first", "count": 3}, {"name": "second", "count": 4}],
            report=REPORT,
            listing="def main():\n    return 1\n",
            reward=shade / 255,
        )

    @property
    def state(self) -> State:
        return State()


class LightAction(Action):
    light: Literal["red", "green"]


class LightObservation(Observation):
    light: str = "off"
    attack: str = ""


class LightEnvironment(Environment[LightAction, LightObservation, State]):
    """A lamp that draws itself, and offers its switches."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> LightObservation:
        return LightObservation()

    def step(self, action: LightAction) -> LightObservation:
        return LightObservation(light=action.light, reward=1.0, done=action.light == "green")

    @property
    def state(self) -> State:
        return State()

    def render_web(self, observation: dict[str, Any]) -> str:
        light = observation["light"]
        return (
            f"<style>p {{ color: rgb(1, 2, 3) }}</style><p id='lamp' style='height:150px'>The lamp is {light}.</p>"
            "<script>parent.postMessage('ran', '*')</script>"
            "<img src='x' onerror=\"parent.document.title='ran'\"><img src='/elsewhere.png'>"
        )

    def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any] | LightAction]]:
        return [("Red", {"light": "red"}), ("Green", LightAction(light="green"))]


class AsyncLight(LightEnvironment):
    async def render_web(self, observation: dict[str, Any]) -> str:  # type: ignore[override]
        return f"<p id='lamp'>Awaited: {observation['light']}, {observation['done']}.</p>"

    async def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:  # type: ignore[override]
        return [("Red", {"light": "red"})]


class FailAction(Action):
    how: Literal["fine", "raise", "drawing", "hang"] = "fine"


GATE = threading.Event()
"""What a step that hangs waits for."""


class FailEnvironment(Environment[FailAction, Observation, State]):
    """Fails when asked to."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Observation:
        if seed == 13:
            raise ValueError("13 brings bad luck")
        return Observation()

    def step(self, action: FailAction) -> Observation:
        if action.how == "hang":
            GATE.wait(60)
        if action.how == "raise":
            raise RuntimeError("the <b>bridge</b> is out")
        return Observation(reward=1.0, metadata={"how": action.how})

    @property
    def state(self) -> State:
        return State(step_count=7)

    def render_web(self, observation: dict[str, Any]) -> str | None:
        if observation["metadata"].get("how") == "drawing":
            raise RuntimeError("no pencil")
        return None


EVIL = [
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "<svg onload=window.ran=1>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "[click](javascript:window.ran=1)",
    "[click](data:text/html,<script>window.ran=1</script>)",
    "![x](x onerror=window.ran=1)",
    "`<script>window.ran=1</script>` **<img src=x onerror=window.ran=1>**",
    "# <img src=x onerror=window.ran=1>\n\n| <b onclick=window.ran=1> | b |\n|---|---|\n| <script>ran=1</script> | 2 |",
    "<a href='javascript:window.ran=1'>x</a>",
    "'\"><script>window.ran=1</script>",
    "{{constructor.constructor('window.ran=1')()}}",
    "</title></textarea></style><script>window.ran=1</script>",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='window.ran=1'/>",
    "data:text/html,<script>window.ran=1</script>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.ran=1>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
]


class EvilAction(Action):
    """<script>window.ran=1</script>"""

    text: Annotated[str, Meta(description="<img src=x onerror=window.ran=1>", title="<b>x</b>")] = EVIL[0]


class EvilObservation(Observation):
    texts: list[str] = []
    rows: list[dict[str, str]] = []
    keyed: dict[str, Any] = {}


class EvilEnvironment(Environment[EvilAction, EvilObservation, State]):
    """<img src=x onerror=window.ran=1>"""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> EvilObservation:
        return self._seen()

    def step(self, action: EvilAction) -> EvilObservation:
        if action.text == "raise":
            raise RuntimeError("".join(EVIL))
        return self._seen()

    def _seen(self) -> EvilObservation:
        return EvilObservation(
            texts=[*EVIL, *(text + "\n" + text for text in EVIL), *("**bold** " + text for text in EVIL)],
            rows=[{"<img src=x onerror=window.ran=1>": text, "other": text} for text in EVIL],
            keyed={text: {text: text} for text in EVIL},
            metadata={text: text for text in EVIL},
        )

    @property
    def state(self) -> State:
        return State(episode_id=EVIL[0])

    def get_metadata(self) -> EnvironmentMetadata:
        return EnvironmentMetadata(
            name=EVIL[1], description=EVIL[0], readme_content="\n\n".join(EVIL), version=EVIL[2], author=EVIL[3]
        )

    def render_web(self, observation: dict[str, Any]) -> str:
        return "".join(EVIL).replace("window.ran", "parent.ran")

    def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any] | EvilAction]]:
        return [(text, {"text": text}) for text in EVIL]


def app(env: type[Any], **options: Any) -> EnvApp:
    """Give an app with the page."""
    action, observation, state = CLASSES[env.__name__]
    return create_app(env, action, observation, state_cls=state, interface=True, **options)


CLASSES: dict[str, tuple[type[Any], type[Any], type[Any]]] = {
    "NestedEnvironment": (NestedAction, SeenObservation, State),
    "PictureEnvironment": (ShowAction, ShowObservation, State),
    "LightEnvironment": (LightAction, LightObservation, State),
    "AsyncLight": (LightAction, LightObservation, State),
    "FailEnvironment": (FailAction, Observation, State),
    "EvilEnvironment": (EvilAction, EvilObservation, State),
    "WordleEnvironment": (WordleAction, WordleObservation, WordleState),
    "EchoEnvironment": (EchoAction, EchoObservation, State),
}

ROOT = Path(__file__).parents[2]

__all__ = ["EVIL", "ROOT", "EchoEnvironment", "WordleEnvironment", "app"]
