"""The server's side of Echo; `app` in `server.app` is what runs."""

from __future__ import annotations

from .echo_environment import EchoEnvironment

__all__ = ["EchoEnvironment"]
