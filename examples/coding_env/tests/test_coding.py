"""Plays whole episodes against the server's app, in this process and without a port."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openenv_async.errors import EnvironmentFailed, InvalidPayload

from coding_env import AsyncCodingEnv, Check, CodingAction, CodingEnv
from coding_env.server.app import app
from coding_env.server.coding_environment import MAX_STEPS
from coding_env.server.running import Bounds, Run, run_program
from coding_env.server.tasks import TASKS

PRIMES = """
n = int(input())
for p in range(2, n + 1):
    if all(p % d for d in range(2, p)):
        print(p)
"""
SOLUTIONS = (
    "import sys\nprint(sum(map(int, sys.stdin)))",
    "print(*reversed(input().split()))",
    PRIMES,
)
DOUBLE = [Check(stdin="2", stdout="4"), Check(stdin="8", stdout="16")]


@pytest.fixture
def env() -> Iterator[CodingEnv]:
    """A session of the sync client, as a notebook has it."""
    with CodingEnv(app) as env:
        yield env


def run(folder: Path, code: str, bounds: Bounds) -> Run:
    """Run a program without an environment around it."""
    program = folder / "main.py"
    program.write_text(code, encoding="utf-8")
    return asyncio.run(run_program(program, "", bounds))


def test_every_built_in_task_can_be_solved() -> None:
    """The async client, as a training loop uses it: many episodes at once."""
    solution_of = dict(zip((task.text for task in TASKS), SOLUTIONS, strict=True))

    async def play(seed: int) -> str:
        async with AsyncCodingEnv(app) as env:
            result = await env.reset(seed=seed)
            task = result.observation.task
            result = await env.step(CodingAction(code="print('I give up')"))
            assert (result.reward, result.done) == (0.0, False)
            result = await env.step(CodingAction(code=solution_of[task]))
            assert (result.reward, result.done) == (1.0, True)
        return task

    async def play_all() -> list[str]:
        return await asyncio.gather(*(play(seed) for seed in range(6)))

    tasks = asyncio.run(play_all())
    assert len(set(tasks)) > 1
    assert tasks == asyncio.run(play_all())  # the same seeds, the same tasks


def test_the_reward_is_the_share_of_tests_that_pass(env: CodingEnv) -> None:
    """Tests of the trainer's own; a program that ends early passes none of them."""
    first = env.reset(task="Double a number.", tests=DOUBLE)
    assert first.observation.task == "Double a number."
    assert first.observation.tests_total == 2
    assert env.step(CodingAction(code="raise SystemExit(0)")).reward == 0.0
    half = env.step(CodingAction(code="print(int(input()) + 2)", stdin="5"))
    assert half.observation.stdout == "7\n"
    assert (half.reward, half.observation.tests_passed) == (0.5, 1)
    assert env.step(CodingAction(code="print(int(input()) * 2)")).done
    with pytest.raises(EnvironmentFailed, match="call reset"):
        env.step(CodingAction(code=""))


def test_output_errors_and_exit_code_are_seen(env: CodingEnv) -> None:
    """A sandbox, without tests, gives no rewards and ends after some steps."""
    assert env.reset(tests=[]).reward is None
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)"
    result = env.step(CodingAction(code=code))
    seen = result.observation
    assert (seen.stdout, seen.stderr, seen.exit_code) == ("out\n", "err\n", 3)
    assert result.reward is None
    result = env.step(CodingAction(code="1 / 0"))
    assert "ZeroDivisionError" in result.observation.stderr
    for _ in range(MAX_STEPS - 2):
        assert not result.done
        result = env.step(CodingAction(code=""))
    assert result.done and result.truncated


def test_only_files_last_and_no_longer_than_the_episode(env: CodingEnv) -> None:
    """The next program finds what the last one wrote; the next episode does not."""
    env.reset(tests=[])
    env.step(CodingAction(code="open('note', 'w').write('hi')\nname = 'x'"))
    result = env.step(CodingAction(code="print(open('note').read())\nname"))
    assert result.observation.stdout == "hi\n"
    assert "NameError" in result.observation.stderr
    env.reset(tests=[])
    result = env.step(CodingAction(code="import os\nprint(os.listdir())"))
    assert result.observation.stdout == "['main.py']\n"


def test_tests_that_make_no_sense_are_refused(env: CodingEnv) -> None:
    """The error names the argument, and the place in it."""
    with pytest.raises(InvalidPayload, match="stdout"):
        env.reset(tests=[{"stdin": "1"}])
    with pytest.raises(InvalidPayload, match="task needs tests"):
        env.reset(task="Double a number.")


def test_the_time_limit_ends_whatever_the_program_started(tmp_path: Path) -> None:
    """Its child held a lock and is gone; what was printed before is seen."""
    code = """
import fcntl, subprocess
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
child = subprocess.Popen(["sleep", "600"], pass_fds=[lock.fileno()])
print("started")
child.wait()
"""
    begin = time.monotonic()
    done = run(tmp_path, code, Bounds(time_s=1))
    assert done == Run(stdout="started\n", stderr="", exit_code=-9, timed_out=True)
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # comes when its last holder is dead
    assert time.monotonic() - begin < 300, "it ended by itself"


def test_what_a_program_leaves_running_ends_with_it(tmp_path: Path) -> None:
    """Also when the program itself ended in time."""
    code = """
import fcntl, subprocess
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
subprocess.Popen(["sleep", "600"], pass_fds=[lock.fileno()])
"""
    begin = time.monotonic()
    assert run(tmp_path, code, Bounds(time_s=20)).exit_code == 0
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert time.monotonic() - begin < 300, "it ended by itself"


def test_too_much_memory_is_an_error_of_the_program(tmp_path: Path) -> None:
    """Python says so in stderr."""
    done = run(tmp_path, "bytearray(10**9)", Bounds(memory_bytes=256 * 1024 * 1024))
    assert done.exit_code == 1
    assert "MemoryError" in done.stderr


def test_long_output_is_shown_in_part(tmp_path: Path) -> None:
    """Beginning and end; the middle is left out, and how much is said."""
    code = "print('a' * 1000 + 'b' * 1000)"
    done = run(tmp_path, code, Bounds(output_bytes=100))
    assert done.stdout == f"{'a' * 50}\n[1901 bytes left out]\n{'b' * 49}\n"


def test_output_without_end_is_stopped(tmp_path: Path) -> None:
    """The file that it goes to has a largest size."""
    code = "while True:\n    print('x' * 10000)"
    done = run(tmp_path, code, Bounds(time_s=30, file_bytes=200_000))
    assert not done.timed_out
    assert "File too large" in done.stderr


def test_the_program_sees_no_variables_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may hold secrets."""
    monkeypatch.setenv("HF_TOKEN", "a secret")
    code = "import os\nprint(*os.environ)"
    assert "HF_TOKEN" not in run(tmp_path, code, Bounds()).stdout
