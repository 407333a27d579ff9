"""The trainer's side: `AsyncEnv`, and the connections that carry its sessions."""

from __future__ import annotations

from openenv_async.client.env import AsyncEnv

__all__ = ["AsyncEnv"]
