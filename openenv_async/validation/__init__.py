"""Judges an environment: its files, its server while it runs, its image.

A rank between `providers` and `cli`: it starts servers with providers and plays
them with the client. `openenv validate` and `openenv info` show what is found;
`openenv push` asks `static_problems`.
"""

from __future__ import annotations

from openenv_async.validation.checks import Check, Level, Mode, NotAnEnvironment, Report
from openenv_async.validation.static import static_problems

__all__ = ["Check", "Level", "Mode", "NotAnEnvironment", "Report", "static_problems"]
