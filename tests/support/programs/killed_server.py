"""The app of `test_client_lost.py`, served by a process that the test kills; no lost socket is waited for."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from openenv_async import Limits
from support.play_env import play_app
from support.servers import Journal

app = play_app(Journal(), limits=Limits(resume_window_s=0))
