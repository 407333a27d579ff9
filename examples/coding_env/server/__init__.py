"""The server's side of Coding; `app` in `server.app` is what runs."""

from __future__ import annotations

from .coding_environment import CodingEnvironment

__all__ = ["CodingEnvironment"]
