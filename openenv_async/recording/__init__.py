"""Recordings of sessions: files that are written while sessions are played, and read for a replay.

`values` and `lines` are the format that docs/recording.md describes. `recorder` observes sessions and queues events
for `writer`, whose thread writes through `files`. `reading` reads a file; `cli.replay` plays it.
"""

from __future__ import annotations

from openenv_async.recording.options import RecordOptions

__all__ = ["RecordOptions"]
