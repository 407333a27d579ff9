"""Environments that misbehave while they are played: each is found out, none hurts the validator."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest
from validated import good_env, is_alive, one, small_env, validated

from openenv_async.conformance.findings import Finding, ValidationReport
from openenv_async.conformance.project.served import check_process
from openenv_async.conformance.runner import Runner

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


def runtime(report: ValidationReport, name: str) -> Finding:
    return one([check for check in report.findings if check.level == "runtime"], name)


async def test_a_good_environment_passes_every_check(tmp_path: Path) -> None:
    told: list[Finding] = []
    report = await validated(good_env(tmp_path), listener=told.append)
    assert told == report.findings
    assert report.ok, report.as_json()
    assert Counter(check.result for check in report.findings) == {"ok": report.count("ok"), "warned": 1}
    assert one(report.findings, "lock").result == "warned"
    assert {mode.name: (mode.works, mode.tried) for mode in report.modes}["local"] == (True, True)


@pytest.mark.parametrize(
    ("methods", "name", "result", "words"),
    [
        pytest.param(
            "def reset(self):\n    return PlayObservation()",
            "seed",
            "warned",
            "ignores the seed",
            id="no seed",
        ),
        pytest.param(
            "def step(self, action):\n    return PlayObservation(seen=str(random.random()))",
            "seed",
            "warned",
            "gave something else at step 1: observation.seen",
            id="not repeatable",
        ),
        pytest.param(
            "shared = State()\n"
            "def step(self, action):\n    self.shared.step_count += 1\n    return PlayObservation()\n"
            "@property\n"
            "def state(self):\n    return self.shared",
            "sessions",
            "failed",
            "steps of one session changed another's state: state.step_count",
            id="shared state",
        ),
        pytest.param(
            "shared = [0]\n"
            "def reset(self, seed=None):\n    self.shared[0] = 0\n    return PlayObservation()\n"
            "def step(self, action):\n    self.shared[0] += 1\n    return PlayObservation(seen=str(self.shared[0]))",
            "sessions",
            "failed",
            "what one session did changed what another saw",
            id="shared memory",
        ),
        pytest.param(
            "def step(self, action):\n    raise ValueError('no such move')",
            "step",
            "failed",
            "ValueError: no such move",
            id="no action is legal",
        ),
        pytest.param(
            "def step(self, action):\n"
            "    if ' ' in action.message:\n        raise ValueError('no blanks')\n"
            "    return PlayObservation()",
            "step",
            "warned",
            "1 actions made from the schema were played",
            id="some actions are illegal",
        ),
        pytest.param("def reset(self):\n    raise RuntimeError('no data')", "reset", "failed", "no data", id="reset"),
        pytest.param(
            "def reset(self):\n    return PlayObservation(done=True)",
            "reset",
            "warned",
            "over before it began",
            id="done at once",
        ),
        pytest.param("def __init__(self):\n    raise OSError('no GPU')", "reset", "failed", "no GPU", id="factory"),
        pytest.param(
            "@property\ndef state(self):\n    raise RuntimeError('no state')",
            "state",
            "failed",
            "no state",
            id="state",
        ),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, methods: str, name: str, result: str, words: str) -> None:
    report = ValidationReport(target="", kind="folder", level="runtime")
    await check_process(small_env(tmp_path, methods), Runner(report, 60.0), 8, 30.0)
    check = one(report.findings, name)
    assert (check.result, words in check.sentence) == (result, True), check
    # What went wrong in a session is not the server's end.
    assert one(report.findings, "stop").result == "ok"


async def test_a_step_that_hangs_costs_one_check_and_nothing_is_left(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hangs = (
        f"def step(self, action):\n"
        f"    other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"    open({str(pid)!r}, 'w').write(f'{{os.getpid()}} {{other.pid}}')\n"
        f"    threading.Event().wait()"
    )
    async with asyncio.timeout(120):
        report = await validated(small_env(tmp_path, hangs), timeout_s=32.0)
    step = runtime(report, "step")
    assert step.result == "failed"
    assert "within 8 s" in step.sentence
    assert runtime(report, "sessions").result == "skipped"
    for each in pid.read_text(encoding="utf-8").split():
        assert not is_alive(int(each))


async def test_the_runs_own_time_ends_it(tmp_path: Path) -> None:
    slow = "def __init__(self):\n    threading.Event().wait()"
    report = await validated(small_env(tmp_path, slow), timeout_s=3.0)
    assert not report.ok
    ended = [check for check in report.findings if "the run's 3 s were over" in check.sentence]
    assert len(ended) == 1
    assert ended[0].hint == "give more with --timeout"
    assert [check.result for check in report.findings[report.findings.index(ended[0]) + 1 :]].count("skipped") > 3


async def test_an_app_for_one_session_is_not_asked_for_two(tmp_path: Path) -> None:
    folder = small_env(tmp_path, "SUPPORTS_CONCURRENT_SESSIONS = False")
    app = folder / "server" / "app.py"
    app.write_text(app.read_text(encoding="utf-8").replace(", max_concurrent_envs=8", ""), encoding="utf-8")
    report = await validated(folder)
    assert runtime(report, "sessions").result == "skipped"
    assert runtime(report, "close").sentence.startswith("a full server took a new session")


async def test_a_token_of_the_authors_own_and_one_of_the_shell_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", "of-the-shell")
    folder = small_env(tmp_path)
    app = folder / "server" / "app.py"
    app.write_text(app.read_text(encoding="utf-8").replace("=8)", '=8, token="authors")'), encoding="utf-8")
    report = await validated(folder)
    assert runtime(report, "close").result == "ok"


async def test_an_app_that_cannot_start_leaves_the_rest_unasked(tmp_path: Path) -> None:
    folder = small_env(tmp_path)
    (folder / "server" / "app.py").write_text("app = 3\n", encoding="utf-8")
    report = await validated(folder)
    assert one(report.findings, "app").result == "failed"
    assert {check.result for check in report.findings if check.level == "runtime"} == {"skipped"}
    assert {mode.name: mode.works for mode in report.modes}["local"] is False


async def test_a_thread_left_behind_is_told(tmp_path: Path) -> None:
    stays = "def close(self):\n    threading.Thread(target=threading.Event().wait, name='stays', daemon=False).start()"
    report = await validated(small_env(tmp_path, stays))
    stop = runtime(report, "stop")
    assert stop.result == "warned"
    assert "stays" in stop.sentence


async def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    os.mkfifo(pid)
    slow = f"def step(self, action):\n    open({str(pid)!r}, 'w').write(str(os.getpid()))\n    time.sleep(60)"
    run = asyncio.create_task(validated(small_env(tmp_path, slow)))
    async with asyncio.timeout(30):
        server = int(await asyncio.to_thread(pid.read_text, encoding="utf-8"))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not is_alive(server)
