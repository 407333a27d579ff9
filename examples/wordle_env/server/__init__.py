"""The server's side of Wordle; `app` in `server.app` is what runs."""

from __future__ import annotations

from .wordle_environment import WordleEnvironment

__all__ = ["WordleEnvironment"]
