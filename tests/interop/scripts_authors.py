"""What is said to the world `authors`: an episode in each of its apps, and what each is there for."""

from __future__ import annotations

from scripts_basics import STATE, Moves, reset, said, step


def http(prefix: str) -> Moves:
    """Ask an app everything over HTTP."""
    return [
        {"post": f"{prefix}/reset", "json": {}},
        {"post": f"{prefix}/reset", "json": {"seed": 1, "own": 2}},
        {"post": f"{prefix}/step", "json": {"action": {}}},
        {"post": f"{prefix}/step", "json": {"action": {"text": "x"}, "timeout_s": 1}},
        {"get": f"{prefix}/state"},
        {"get": f"{prefix}/metadata"},
        {"get": f"{prefix}/schema"},
        {"get": f"{prefix}/health"},
    ]


def everything(name: str, *messages: object) -> Moves:
    path = f"/{name}/ws" if name else "/ws"
    prefix = f"/{name}" if name else ""
    told = messages or (reset(), reset(seed=1, own=2), step(text="x"), step(), STATE)
    return [*said(*told, path=path), *http(prefix)]


PLAIN = (
    "nostate modelstate keywordreset redeclared hooked undeclared lambda partial function production edited own "
    "produced"
).split()

SCRIPTS: dict[str, Moves] = {
    "nosuper": everything(""),
    **{name: everything(name) for name in PLAIN},
    "half": said(reset(), step(), STATE, path="/half/ws"),
    "failstoclose": said(reset(), step(), STATE, path="/failstoclose/ws"),
    "tuplereset": everything("tuplereset", reset(), reset(size=[3, 4], seed=2, names=["a"]), reset(size="wide", own=1)),
    "requiredreset": everything("requiredreset", reset(), reset(task="t"), reset(seed=1), step(text="alive")),
    "plain": everything("plain", reset(), step(text="x"), step(text="bare"), step(extra=1), step(text=5), STATE),
    "union": everything(
        "union",
        step(kind="go", move="up"),
        step(kind="wait", turns=2),
        step(kind="wait", turns=0),
        step(kind="fly"),
        step(),
        step(type="list_tools"),
    ),
    "tagged": everything(
        "tagged",
        step(what={"kind": "go", "move": "down"}),
        step(what={"kind": "go", "move": "left"}),
        step(what={"kind": "fly"}),
        step(what={}),
        step(what=5),
        step(),
    ),
    "picky": [
        *said(step(text="hi"), step(text="key"), step(text="type"), step(text=5), STATE, path="/picky/ws"),
        {"post": "/picky/step", "json": {"action": {"text": "key"}}},
        {"post": "/picky/step", "json": {"action": {"text": "hi"}}},
    ],
    "noclasses": [
        *said(reset(), step(text="x"), STATE, path="/noclasses/ws"),
        {"post": "/noclasses/reset"},
        {"post": "/noclasses/step", "json": {"action": {}}},
        {"get": "/noclasses/schema"},
        {"get": "/noclasses/metadata"},
    ],
    "base": everything(
        "base",
        step(),
        step(metadata={"a": 1}),
        step(text="x"),
        step(type="list_tools"),
        step(type="call_tool"),
        step(type="call_tool", tool_name="add", arguments={"a": 1}),
        step(type="call_tool", tool_name=5, more=1),
        step(type="other"),
        step(type=5),
    ),
    "async": everything("async", reset(seed=3, mode="y", own=1), step(text="a"), step(text="fail"), step(), STATE),
    "onethread": [
        *said(reset(), step(), path="/onethread/ws"),
        {"open": "b", "path": "/onethread/ws"},
        {"say": "b", "json": step()},
        {"say": "a", "json": step()},
    ],
    "registered": [
        *said(reset(), step(text="k"), path="/registered/ws"),
        {"open": "b", "path": "/registered/ws"},
        {"say": "b", "json": step(text="k")},
        {"say": "a", "json": step(text="k")},
    ],
    "tasks": [
        {"get": "/tasks/list_environments"},
        {"get": "/tasks/Tasks/splits"},
        {"get": "/tasks/tasks/splits"},
        {"get": "/tasks/TASKS/splits"},
        {"get": "/tasks/other/splits"},
        {"post": "/tasks/tasks/tasks", "json": {"split": "train"}},
        {"post": "/tasks/tasks/num_tasks", "json": {"split": "train"}},
        {"post": "/tasks/tasks/num_tasks", "json": {"split": "x", "more": 1}},
        {"post": "/tasks/tasks/task", "json": {"split": "train", "index": 0}},
        {"post": "/tasks/tasks/task", "json": {"split": "train", "index": 1}},
        {"post": "/tasks/tasks/task", "json": {"split": "train", "index": 9}},
        {"post": "/tasks/tasks/task_range", "json": {"split": "train"}},
        {"post": "/tasks/tasks/task_range", "json": {"split": "train", "start": 1, "stop": 3}},
        {"post": "/tasks/tasks/task_range", "json": {"split": "none"}},
        {"post": "/tasks/none/task_range", "json": {"split": "none"}},
    ],
    **{
        name: [{"open": "a", "path": f"/{name}/ws"}, {"hear": "a"}, {"ended": "a"}, *http(f"/{name}")]
        for name in ("fails", "failslambda", "failspartial")
    },
    "declared": everything("declared"),
    "shared": [
        *said(reset(), step(), path="/shared/ws"),
        {"open": "b", "path": "/shared/ws"},
        {"say": "b", "json": step()},
        {"say": "a", "json": step()},
        {"open": "c", "path": "/shared/ws"},
        {"hear": "c"},
        {"ended": "c"},
    ],
    "sixty-four": [
        *({"open": f"s{n}", "path": "/async/ws"} for n in range(64)),
        *({"say": f"s{n}", "json": reset(seed=n)} for n in range(64)),
        *({"say": f"s{n}", "json": step(text=str(n))} for n in range(64)),
        {"open": "one-more", "path": "/async/ws"},
        {"hear": "one-more"},
        {"ended": "one-more"},
    ],
    "edited-routes": [
        {"get": "/edited/hello"},
        {"get": "/edited/hello?name=me"},
        {"post": "/edited/extra/double", "json": {"a": 2}},
        {"post": "/edited/extra/double", "json": {"a": "x"}},
    ],
    "own-handlers": [
        {"post": "/own/reset", "json": {"seed": -1}},
        {"post": "/own/step", "json": {}},
        {"post": "/own/step", "json": {"action": {"text": "0"}}},
        {"post": "/own/step", "json": {"action": {"text": "2"}}},
        {"post": "/own/step", "json": {"action": {"text": "none"}}},
        {"post": "/own/step", "json": {"action": {"more": 1}}},
        {"get": "/own/own"},
        {"get": "/started"},
    ],
    "late": [
        {"get": "/late/there"},
        {"get": "/add_late"},
        {"get": "/late/health"},
        *said(reset(), step(), path="/late/ws"),
    ],
    "routes": [{"get": "/routes"}],
}
