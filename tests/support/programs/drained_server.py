"""The app of `test_drain_episodes.py`, served by a process that the test stops."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.play_env import play_app
from support.servers import Journal

app = play_app(Journal())
