"""What the environment's own code says, asked of it in a child process.

Owns the questions and their answers' form. The child is `cli.describing`, which
imports the environment as `openenv serve` does: nothing of it ever runs here.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openenv_async.validation.children import run_child

CHILD = "openenv_async.cli.describing"
STAGES = ("models", "app", "client", "script")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One answer: something could be imported, or why not."""

    name: str
    ok: bool
    problem: str | None = None
    """A sentence that begins with `file:line: ` where that is known."""

    hint: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """Every answer that came, and how the child ended."""

    stages: dict[str, Stage]
    exit_code: int | None
    timeout_s: float
    output: tuple[str, ...] = ()

    @property
    def app(self) -> dict[str, Any]:
        """What the app says of itself; empty when it could not be loaded, or is none of `create_app`'s."""
        stage = self.stages.get("app")
        return stage.values if stage is not None and stage.ok else {}

    @property
    def max_sessions(self) -> int | None:
        """Environments the server holds at once, if that is known."""
        value = self.app.get("max_sessions")
        return value if isinstance(value, int) else None

    def broken(self) -> Stage | None:
        """The stage at which the child ended before its time, if it did."""
        missing = [name for name in STAGES if name not in self.stages]
        if not missing:
            return None
        if self.exit_code is None:
            text = f"importing it did not end within {self.timeout_s:g} s"
            hint = "start nothing that waits when a module is imported; do it in reset()"
        elif self.exit_code < 0:
            text, hint = f"importing it ended Python with signal {-self.exit_code}", None
        else:
            text, hint = f"importing it ended Python with exit code {self.exit_code}", "do not exit in a module's code"
        return Stage(name=missing[0], ok=False, problem=text, hint=hint)


async def describe(folder: Path, timeout_s: float) -> Description:
    """Ask the environment in a folder.

    Args:
        folder: with an `openenv.yaml` that can be read.
        timeout_s: seconds for everything.

    Raises:
        OSError: no child can be started.
        CancelledError: the child was ended.
    """
    with tempfile.TemporaryDirectory(prefix="openenv-describe-") as elsewhere:
        # Not its standard output: the environment's own modules may print.
        answers = Path(elsewhere, "answers")
        variables = {"PYTHONDONTWRITEBYTECODE": "1", "OPENENV_TOKEN": ""}
        ended = await run_child([sys.executable, "-m", CHILD, str(folder), str(answers)], timeout_s, variables)
        stages = _read(answers)
    return Description(stages=stages, exit_code=ended.exit_code, timeout_s=timeout_s, output=ended.output)


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
            continue  # the child died while it wrote this one
        stages[stage.name] = stage
    return stages
