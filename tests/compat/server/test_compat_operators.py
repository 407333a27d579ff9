"""OpenEnv apps are seen, ended and recorded as others are."""

from __future__ import annotations

from pathlib import Path

import pytest
from requirements import requirement
from support.compat_envs import Said, Say, opened, recording
from support.operator_client import close, listed
from support.servers import Journal, bounded, serving

from openenv_async.compat.server import create_app
from openenv_async.recording.reading import Recording, read_recording


def kept_in(folder: Path) -> Recording:
    (path,) = folder.glob("*.jsonl")
    return read_recording(path)


@requirement("sessions:listed", "sessions:closed", "record:lines")
async def test_an_openenv_session_is_listed_closed_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENENV_RECORD", str(tmp_path))
    journal = Journal()
    async with serving(create_app(recording(journal), Say, Said)) as served, opened(served.url) as ws:
        await ws.reset()
        await ws.step()
        (row,) = (await listed(served.url))["sessions"]
        assert (row["wire"], row["state"], row["steps"], row["episodes"]) == ("json", "ready", 1, 1)
        assert (await close(served.url, row["id"])).json()["closed"] is True
        await bounded(journal.until("close"))
        assert (await listed(served.url))["total"] == 0
    kept = kept_in(tmp_path)
    assert [call.kind for call in kept.episodes[0].calls] == ["reset", "step"]
    assert kept.end is not None and kept.end["reason"] == "SESSION_LOST"
