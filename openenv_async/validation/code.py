"""The environment's code: whether it can be imported, and whether its parts fit together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from openenv_async.validation.checks import Check
from openenv_async.validation.describing import Description, Stage
from openenv_async.validation.findings import NOWHERE, Findings, Place

_WHERE = re.compile(r"(?P<file>[^\n:]+(?::\\[^\n:]+)?):(?P<line>\d+): (?P<rest>.*)", re.DOTALL)
_FILES = {"models": "models.py", "app": None, "client": "client.py", "script": "pyproject.toml"}


def check_code(folder: Path, said: Description) -> list[Check]:
    """Judge what the child said."""
    checks: list[Check] = []
    broken = said.broken()
    stages = dict(said.stages)
    if broken is not None:
        stages[broken.name] = broken
    for name, judge in (("models", _models), ("app", _app), ("client", _client), ("script", _script)):
        found = Findings(name, _FILES[name])
        stage = stages.get(name)
        if stage is None:
            found.skipped(f"the code could not be imported as far as that: see {broken.name if broken else 'above'}")
        elif not stage.ok:
            output = said.output if stage is broken else ()
            _failed(folder, stage, found, output)
        else:
            judge(stage.values, found)
        checks += found.checks
    return checks


def _failed(folder: Path, stage: Stage, found: Findings, output: tuple[str, ...]) -> None:
    text, file, at = stage.problem or "it cannot be imported", None, NOWHERE
    match = _WHERE.fullmatch(text)
    if match is not None:
        file, text = _seen_from(folder, match["file"]), match["rest"]
        at = (int(match["line"]), None)
    sentence, *rest = text.splitlines()
    shown = "; ".join([sentence, *(line.strip() for line in rest)])
    if output:
        shown += f" (its last words: {output[-1]})"
    found.failed(shown, at, f"install what it needs: {stage.hint}" if _installs(stage.hint) else stage.hint, file)


def _installs(hint: str | None) -> bool:
    return hint is not None and hint.startswith("pip ")


def _seen_from(folder: Path, file: str) -> str:
    path = Path(file).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else file


def _models(values: dict[str, Any], found: Findings) -> None:
    if not values.get("there"):
        found.skipped("there is no models.py")
        return
    classes = values.get("classes") or []
    found.done(f"models.py can be imported; it has {', '.join(classes) or 'no classes'}")


def _app(values: dict[str, Any], found: Findings) -> None:
    if values.get("kind") != "create_app":
        found.done(f"the app can be imported; it is a {values.get('class', 'foreign')} and not made by create_app")
        return
    names = [str(name).rpartition(".")[2] for name in values["classes"].values()]
    found.done(f"the app can be imported; it serves {values['environment']} with {', '.join(names)}")


def _client(values: dict[str, Any], found: Findings) -> None:
    if not values.get("there"):
        found.skipped("there is no client.py")
        return
    clients: dict[str, list[dict[str, Any]]] = values.get("clients") or {}
    if not values.get("compared"):
        found.skipped("client.py can be imported; the app's classes are not known, so they cannot be compared")
        return
    if not clients:
        found.warned("client.py defines no client", hint="class AsyncMyEnv(AsyncEnv[MyAction, MyObservation, MyState])")
    for name, differing in clients.items():
        if all(each["client"] is None for each in differing) and len(differing) == 3:
            found.warned(f"{name} is untyped: it takes and gives dicts", hint="give its base the three classes")
            continue
        for each in differing:
            _differs(name, each, found)
    found.done(f"{', '.join(clients)} {'has' if len(clients) == 1 else 'have'} the app's classes")


def _differs(name: str, each: dict[str, Any], found: Findings) -> None:
    at: Place = NOWHERE
    theirs = each["client"] or "plain dicts"
    sentence = f"{name} has {theirs} for the {each['what']}, and the app has {each['app']}"
    if each["what"] == "state":
        # It is only /schema that tells of the app's; what travels is what the environment gives.
        found.warned(sentence, at, "name the class in create_app(..., state_cls=...), or in the client")
    else:
        found.failed(sentence, at, "give both the same class, imported from models.py")


def _script(values: dict[str, Any], found: Findings) -> None:
    if not values.get("there"):
        found.skipped("there is no `server` script")
        return
    found.done("the `server` script leads to a function")
