"""The environment's code: whether it can be imported, and whether its parts fit together.

The code runs in a child process, `cli.describing`, which imports it as
`openenv serve` does; nothing of it runs here.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openenv_async.conformance.findings import NOWHERE, FileFindings, Finding
from openenv_async.conformance.project.subprocesses import run_child

CHILD = "openenv_async.cli.describing"
STAGES = ("models", "app", "client", "script")

_WHERE = re.compile(r"(?P<file>[^\n:]+(?::\\[^\n:]+)?):(?P<line>\d+): (?P<rest>.*)", re.DOTALL)
_FILES = {"models": "models.py", "app": None, "client": "client.py", "script": "pyproject.toml"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One answer of the child: something could be imported, or why not."""

    name: str
    ok: bool
    problem: str | None = None
    """A sentence that begins with `file:line: ` where that is known."""

    hint: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeDescription:
    """Every answer of the child, and how it ended."""

    stages: dict[str, Stage]
    exit_code: int | None
    timeout_s: float
    output: tuple[str, ...] = ()

    @property
    def app(self) -> dict[str, Any]:
        """What the app says of itself; empty when it could not be loaded, or was not made by `create_app`."""
        stage = self.stages.get("app")
        return stage.values if stage is not None and stage.ok else {}

    @property
    def max_sessions(self) -> int | None:
        """Environments the server holds at once, if that is known."""
        value = self.app.get("max_sessions")
        return value if isinstance(value, int) else None

    def broken(self) -> Stage | None:
        """Return the stage at which the child ended too early, if it did."""
        missing = [name for name in STAGES if name not in self.stages]
        if not missing:
            return None
        if self.exit_code is None:
            text = f"importing it did not end within {self.timeout_s:g} s"
            hint = "start nothing that waits when a module is imported; do it in reset()"
        elif self.exit_code < 0:
            text, hint = f"importing it ended Python with signal {-self.exit_code}", None
        else:
            text, hint = f"importing it ended Python with exit code {self.exit_code}", "do not exit at import"
        return Stage(name=missing[0], ok=False, problem=text, hint=hint)


async def describe(folder: Path, timeout_s: float) -> CodeDescription:
    """Import the environment in a folder in a child process, and return what it is.

    Args:
        folder: with a valid `openenv.yaml`.
        timeout_s: seconds for everything.

    Raises:
        OSError: the child cannot be started.
        CancelledError: the child was ended.
    """
    with tempfile.TemporaryDirectory(prefix="openenv-describe-") as elsewhere:
        # Not through its standard output, where the environment's modules may print.
        answers = Path(elsewhere, "answers")
        variables = {"PYTHONDONTWRITEBYTECODE": "1", "OPENENV_TOKEN": ""}
        ended = await run_child([sys.executable, "-m", CHILD, str(folder), str(answers)], timeout_s, variables)
        stages = _read(answers)
    return CodeDescription(stages=stages, exit_code=ended.exit_code, timeout_s=timeout_s, output=ended.output)


def _read(answers: Path) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for line in answers.read_text(encoding="utf-8").splitlines() if answers.is_file() else ():
        try:
            said = json.loads(line)
            stage = Stage(
                name=said["stage"],
                ok=said["ok"],
                problem=said.get("problem"),
                hint=said.get("hint"),
                values=said.get("values") or {},
            )
        except (ValueError, KeyError, TypeError):
            continue  # the child ended while it wrote this one
        stages[stage.name] = stage
    return stages


def check_code(folder: Path, description: CodeDescription) -> list[Finding]:
    """Return the findings that follow from what the child said."""
    findings: list[Finding] = []
    broken = description.broken()
    stages = dict(description.stages)
    if broken is not None:
        stages[broken.name] = broken
    for name, judge in (("models", _models), ("app", _app), ("client", _client), ("script", _script)):
        found = FileFindings(name, _FILES[name])
        stage = stages.get(name)
        if stage is None:
            found.skipped(f"the import ended before it: see {broken.name if broken else 'above'}")
        elif not stage.ok:
            output = description.output if stage is broken else ()
            _failed(folder, stage, found, output)
        else:
            judge(stage.values, found)
        findings += found.findings
    return findings


def _failed(folder: Path, stage: Stage, found: FileFindings, output: tuple[str, ...]) -> None:
    text, file, at = stage.problem or "it cannot be imported", None, NOWHERE
    match = _WHERE.fullmatch(text)
    if match is not None:
        file, text = _seen_from(folder, match["file"]), match["rest"]
        at = (int(match["line"]), None)
    sentence, *rest = text.splitlines()
    shown = "; ".join([sentence, *(line.strip() for line in rest)])
    if output:
        shown += f" (its last line of output: {output[-1]})"
    found.failed(shown, at, f"install what it needs: {stage.hint}" if _installs(stage.hint) else stage.hint, file)


def _installs(hint: str | None) -> bool:
    return hint is not None and hint.startswith("pip ")


def _seen_from(folder: Path, file: str) -> str:
    path = Path(file).absolute()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else file


def _models(values: dict[str, Any], found: FileFindings) -> None:
    if not values.get("there"):
        found.skipped("there is no models.py")
        return
    classes = values.get("classes") or []
    found.done(f"models.py can be imported; it has {', '.join(classes) or 'no classes'}")


def _app(values: dict[str, Any], found: FileFindings) -> None:
    if values.get("kind") != "create_app":
        found.done(f"the app can be imported; it is a {values.get('class', 'foreign')} and not made by create_app")
        return
    names = [str(name).rpartition(".")[2] for name in values["classes"].values()]
    found.done(f"the app can be imported; it serves {values['environment']} with {', '.join(names)}")


def _client(values: dict[str, Any], found: FileFindings) -> None:
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
            found.warned(f"{name} is untyped: it takes and returns dicts", hint="name the three classes in its base")
            continue
        for each in differing:
            _differs(name, each, found)
    found.done(f"{', '.join(clients)} {'has' if len(clients) == 1 else 'have'} the app's classes")


def _differs(name: str, each: dict[str, Any], found: FileFindings) -> None:
    theirs = each["client"] or "plain dicts"
    sentence = f"{name} has {theirs} for the {each['what']}, and the app has {each['app']}"
    if each["what"] == "state":
        # The app's state class is only shown by /schema; what is sent is what the environment returns.
        found.warned(sentence, hint="name the class in create_app(..., state_cls=...), or in the client")
    else:
        found.failed(sentence, hint="use the same class in both, imported from models.py")


def _script(values: dict[str, Any], found: FileFindings) -> None:
    if not values.get("there"):
        found.skipped("there is no `server` script")
        return
    found.done("the `server` script names a function")
