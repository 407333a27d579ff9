"""Sessions as files: written while they are played, read to be played again.

`values` and `lines` are the format, which docs/recording.md describes; `recorder` looks on and hands over to
`writer`, which has a thread for it and `files` to write to; `reading` reads. Does not play: `cli.replay` does.
"""

from __future__ import annotations

from openenv_async.recording.options import RecordOptions

__all__ = ["RecordOptions"]
