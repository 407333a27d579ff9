"""`openenv.core.env_server.web_interface`."""

from __future__ import annotations

from typing import Any


def create_web_interface_app(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError
