"""The server's side of __ENV_TITLE__; `app` in `server.app` is what runs."""

from __future__ import annotations

from .__ENV_STEM___environment import __ENV_CLASS__Environment

__all__ = ["__ENV_CLASS__Environment"]
