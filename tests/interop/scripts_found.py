"""What is said to the world `found`."""

from __future__ import annotations

from scripts_authors import everything
from scripts_basics import STATE, Moves, reset, step

SCRIPTS: dict[str, Moves] = {
    "data": everything(
        "data",
        reset(),
        step(tool_name="t", parameters={"a": 1}),
        step(tool_name=1),
        step(other=1),
        STATE,
    ),
    "loose": everything("loose", reset(more=1), step(kind="k", own=[1]), step(own=1), step(kind={"a": 1}), STATE),
    "rich": everything(
        "rich",
        reset(seed=1),
        step(at=[1, 2], flags=["a"], when="2020-01-01T00:00:00"),
        step(at=[1]),
        step(when="never"),
        step(),
        STATE,
    ),
    "tuples": everything("tuples", reset(), step(), STATE),
    "first": everything("first", reset(), step(), STATE),
    "replaced": [*everything("replaced", reset(), step(), STATE), {"get": "/replaced/names"}],
}
