"""The app of `test_drain_episodes.py`, served by a process that the test stops."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from live import Journal
from live_envs import play_app

app = play_app(Journal())
