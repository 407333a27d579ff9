"""The environment: an agent writes Python programs until they pass the tests."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from openenv_async import Environment, State
from openenv_async.errors import InvalidPayload

if TYPE_CHECKING or __package__ != "server":
    from ..models import Check, CodingAction, CodingObservation
    from .running import Bounds, Run, run_program
    from .tasks import TASKS, Task
else:  # started inside the project folder, where `models` is at the top
    from models import Check, CodingAction, CodingObservation
    from server.running import Bounds, Run, run_program
    from server.tasks import TASKS, Task

MAX_STEPS = 10


class CodingEnvironment(Environment[CodingAction, CodingObservation, State]):
    """Runs the agent's Python programs; the share of tests that pass is the reward.

    Every run is a new process in the episode's own folder: files that a program writes
    are there for the next one, and nothing else is.
    """

    step_timeout_s = 60.0  # the program and all of its tests together

    def __init__(self, bounds: Bounds | None = None) -> None:
        """Prepare an instance; each session has its own."""
        super().__init__()
        self._bounds = bounds or Bounds()
        self._folder: TemporaryDirectory[str] | None = None
        self._task = Task("", [])
        self._over = True
        self._state = State()

    async def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task: str = "",
        tests: list[dict[str, str]] | None = None,
    ) -> CodingObservation:
        """Begin an episode in an empty folder.

        Args:
            seed: chooses one of the built-in tasks.
            episode_id: the trainer's name for the episode.
            task: what the agent is asked for, with tests of the trainer's own.
            tests: those tests, as `Check` in `models.py`; none makes a sandbox that
                gives no rewards.
        """
        self._task = _own_task(task, tests) or random.Random(seed).choice(TASKS)
        await self._leave_folder()
        self._folder = await asyncio.to_thread(TemporaryDirectory, prefix="coding_env_")
        self._over = False
        self._state = State(episode_id=episode_id or str(uuid4()))
        total = len(self._task.tests)
        return CodingObservation(task=self._task.text, tests_total=total)

    async def step(self, action: CodingAction) -> CodingObservation:
        """Run the program on the agent's input, then on the input of every test."""
        if self._over or self._folder is None:
            raise RuntimeError("no episode is running: call reset() first")
        self._state.step_count += 1
        program = Path(self._folder.name, "main.py")
        await asyncio.to_thread(program.write_text, action.code, encoding="utf-8")
        run = await run_program(program, action.stdin, self._bounds)
        passed = 0 if run.timed_out else await self._passed(program)
        solved = 0 < len(self._task.tests) == passed
        self._over = solved or self._state.step_count >= MAX_STEPS
        return self._observation(run, passed, solved)

    async def close(self) -> None:
        """Remove the folder."""
        await self._leave_folder()

    @property
    def state(self) -> State:
        """The episode so far; reading it changes nothing."""
        return self._state

    async def _passed(self, program: Path) -> int:
        passed = 0
        for test in self._task.tests:
            run = await run_program(program, test.stdin, self._bounds)
            if run.timed_out:
                break  # the others would most likely take their time too
            passed += run.exit_code == 0 and run.stdout.strip() == test.stdout.strip()
        return passed

    def _observation(self, run: Run, passed: int, solved: bool) -> CodingObservation:
        total = len(self._task.tests)
        return CodingObservation(
            task=self._task.text,
            stdout=run.stdout,
            stderr=run.stderr,
            exit_code=run.exit_code,
            timed_out=run.timed_out,
            tests_passed=passed,
            tests_total=total,
            reward=passed / total if total else None,
            done=self._over,
            truncated=self._over and not solved,
        )

    async def _leave_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(folder.cleanup)


def _own_task(text: str, tests: Any) -> Task | None:
    if tests is None:
        if text:
            raise InvalidPayload("task needs tests; [] for none", path="tests")
        return None
    try:
        return Task(text, msgspec.convert(tests, list[Check]))
    except msgspec.ValidationError as error:
        raise InvalidPayload(f"tests: {error}", path="tests") from error
