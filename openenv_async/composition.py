"""Where the top of the package lends the client what stands above it, without the client importing it.

`AsyncEnv.connect(MyEnvironment)` plays a class in process, which takes a server;
the client knows none. The package's `__init__` puts the builder here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Builders:
    """What has been lent. `app_for` makes the ASGI app that serves an environment class."""

    app_for: Callable[[type[Any]], Any] | None = None
