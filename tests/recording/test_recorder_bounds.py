"""Recordings have bounds, and a failure to record does not fail a call."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from requirements import requirement
from support import PROGRAMS
from support.play_env import play_app
from support.recordings import files, lines, only, recording_app
from support.servers import BOUND_S, Journal, bounded, serving
from support.terminal import ROOT

from openenv_async import AsyncEnv
from openenv_async.recording import RecordOptions, writer
from openenv_async.recording.files import Files, SessionFile
from openenv_async.recording.reading import read_recording

TEXT = "x" * 500


@requirement("record:bounded")
async def test_a_long_session_is_continued_in_another_file(tmp_path: Path) -> None:
    options = RecordOptions(folder=tmp_path, max_file_bytes=10_000)
    async with serving(recording_app(options)) as served, AsyncEnv(served.url) as env:
        await env.reset()
        for _ in range(40):
            await env.step({"op": "echo", "value": TEXT})
    parts = sorted((lines(path) for path in files(tmp_path)), key=lambda part: part[0].get("part", 1))
    assert len(parts) > 3 and all(path.stat().st_size <= 10_000 for path in files(tmp_path))
    assert [part[0].get("part", 1) for part in parts] == list(range(1, len(parts) + 1))
    kinds = [line["type"] for part in parts for line in part if line["type"] != "session"]
    assert kinds == ["reset", *["step"] * 40, "end"]
    assert len({part[0]["session_id"] for part in parts}) == 1


@requirement("record:bounded")
async def test_the_oldest_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("mine")
    old = tmp_path / "20200101T000000-play-00ff.jsonl"
    old.write_bytes(b"o" * 25_000)
    os.utime(old, (1, 1))
    options = RecordOptions(folder=tmp_path, max_file_bytes=10_000, max_total_bytes=30_000)
    async with serving(recording_app(options)) as served:
        for _ in range(8):
            async with AsyncEnv(served.url) as env:
                await env.reset()
                for _ in range(5):
                    await env.step({"op": "echo", "value": TEXT})
    left = files(tmp_path)
    assert tmp_path / "notes.jsonl" in left and old not in left
    assert 10_000 < sum(path.stat().st_size for path in left) <= 30_000 + 4
    left.remove(tmp_path / "notes.jsonl")
    assert all(lines(path)[-1]["type"] == "end" for path in left)


@requirement("record:bounded")
async def test_few_files_are_open_however_many_sessions_there_are(tmp_path: Path) -> None:
    app = recording_app(tmp_path)
    async with serving(app) as served:
        envs = [AsyncEnv(served.url) for _ in range(150)]
        await bounded(asyncio.gather(*(env.open() for env in envs)))
        for _ in range(2):
            await bounded(asyncio.gather(*(env.reset() for env in envs)))
        assert app.server.recorder is not None
        await app.server.recorder.aclose()
        opened = [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]
        assert 0 < len(opened) <= 64
        await bounded(asyncio.gather(*(env.close() for env in envs)))
    assert [len(lines(path)) for path in files(tmp_path)] == [4] * 150


@requirement("record:bounded")
async def test_a_value_that_is_too_large_is_left_out_and_its_size_recorded(tmp_path: Path) -> None:
    options = RecordOptions(folder=tmp_path, max_value_bytes=2000)
    async with serving(recording_app(options)) as served, AsyncEnv(served.url) as env:
        await env.reset()
        await env.step({"op": "huge", "value": 5000})
        await env.step({"n": 1, "value": "y" * 5000})
    _, _, huge, large, _ = only(tmp_path)
    assert huge["left_out"]["observation"] > 5000 and "observation" not in huge and huge["request"]["value"] == 5000
    assert large["left_out"]["request"] > 5000 and "request" not in large and large["observation"]["total"] == 1


class Stuck(Files):
    """A disk that takes its time: it waits for the test."""

    def __init__(self, *arguments: int | Path) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.going = threading.Event()
        self.asked = threading.Event()

    def write(self, file: SessionFile, lines: list[bytes]) -> None:
        self.asked.set()
        assert self.going.wait(BOUND_S)
        super().write(file, lines)


@requirement("record:bounded")
async def test_a_slow_disk_delays_no_call_and_the_file_counts_the_missing_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "Files", Stuck)
    options = RecordOptions(folder=tmp_path, max_queued_bytes=20_000)
    app = play_app(Journal(), "inline", record=options)
    assert app.server.recorder is not None
    disk = app.server.recorder._writer._files
    assert isinstance(disk, Stuck)
    async with serving(app) as served, AsyncEnv(served.url) as env:
        with caplog.at_level(logging.WARNING):
            await env.reset()
            assert await asyncio.to_thread(disk.asked.wait, BOUND_S)
            for n in range(200):
                assert (await bounded(env.step({"n": 1, "value": TEXT}))).observation["total"] == n + 1
            assert app.server.recorder._writer._held <= 20_000
        told = [record.getMessage() for record in caplog.records if "faster than they can be recorded" in record.msg]
        assert len(told) == 1
        left_out = app.server.recorder.left_out
        disk.going.set()
        await app.server.recorder.aclose()
        await env.step({"n": 1})
    written = only(tmp_path)
    (gap,) = [line for line in written if line["type"] == "gap"]
    assert gap["calls"] == left_out > 100 and "as fast as it was played" in gap["reason"]
    assert sum(line["type"] == "step" for line in written) + left_out == 201
    assert written[-2]["observation"]["total"] == 201
    (episode,) = read_recording(files(tmp_path)[0]).episodes
    assert episode.missing == left_out and len(episode.calls) == 1 + 200 - left_out


@requirement("record:full-disk")
def test_a_full_disk_logs_one_warning_and_leaves_whole_lines(tmp_path: Path) -> None:
    script = PROGRAMS / "small_disk.py"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert len(told) == 2, done.stderr
    assert "fails: File too large" in told[0] and "continues" in told[1]
    written = only(tmp_path)
    (gap,) = [line for line in written if line["type"] == "gap"]
    assert gap["reason"] == "the disk could not be written to" and gap["calls"] > 50
    assert sum(line["type"] == "step" for line in written) + gap["calls"] == 101
    assert written[-1]["type"] == "end" and written[-2]["observation"]["total"] == 101


@requirement("record:full-disk")
async def test_a_removed_folder_fails_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.0)
    folder = tmp_path / "folder"
    app = recording_app(folder)
    assert app.server.recorder is not None
    async with serving(app) as served:
        shutil.rmtree(folder)
        with caplog.at_level(logging.WARNING):
            async with AsyncEnv(served.url) as env:
                await env.reset()
                assert (await env.step({"n": 1})).observation["total"] == 1
            await app.server.recorder.aclose()
        assert [r.getMessage() for r in caplog.records if "fails" in r.msg][0].startswith(
            f"recording in {folder} fails"
        )
        folder.mkdir()
        async with AsyncEnv(served.url) as env:
            await env.reset()
    assert [line["type"] for line in only(folder)] == ["session", "reset", "end"]


@requirement("record:full-disk")
def test_an_unusable_folder_is_refused_before_the_server_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="nothing can be recorded in"):
        recording_app(tmp_path / "file")
    with pytest.raises(ValueError, match="max_total_bytes"):
        RecordOptions(folder=tmp_path, max_file_bytes=2, max_total_bytes=1)
