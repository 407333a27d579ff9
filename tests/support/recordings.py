"""What tests of recordings share: apps that record, and their files as lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openenv_async.recording import RecordOptions
from openenv_async.server.app import EnvApp
from support.play_env import play_app
from support.servers import Journal


def recording_app(record: Path | RecordOptions, execution: Any = "inline", **options: Any) -> EnvApp:
    return play_app(Journal(), execution, record=record, **options)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def only(folder: Path) -> list[dict[str, Any]]:
    (path,) = files(folder)
    return lines(path)
