"""Where the top of the package lends the client what stands beside it, without the client importing it.

`AsyncEnv.connect(MyEnvironment)` plays a class in process, which takes a server;
`from_docker_image` takes a provider. The client knows neither. The package's
`__init__` puts the builders here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Builders:
    """What has been lent.

    `app_for` makes the ASGI app that serves an environment class; `docker_provider`,
    `space_provider` and `hub_copy_provider` make what starts or finds a server.
    """

    app_for: Callable[[type[Any]], Any] | None = None
    docker_provider: Callable[..., Any] | None = None
    space_provider: Callable[..., Any] | None = None
    hub_copy_provider: Callable[..., Any] | None = None
