"""The app of `test_client_lost.py`, served by a process that the test kills; no lost socket is waited for."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from live import Journal
from live_envs import play_app

from openenv_async import Limits

app = play_app(Journal(), limits=Limits(resume_window_s=0))
