"""How a client connects: its options, and the targets it understands."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from openenv_async.composition import Builders
from openenv_async.errors import UsageError

WireChoice = Literal["auto", "native", "json"]

MIB = 1024 * 1024

# RFC 9110, section 5.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of one client; the names and defaults of the first four are OpenEnv's."""

    connect_timeout_s: float = 10.0
    """Seconds to reach the server and agree on a wire."""
    message_timeout_s: float | None = 60.0
    """Seconds a call waits for its answer when it has no `timeout_s` of its own; None: for ever."""
    max_message_bytes: int = 100 * MIB
    """Largest action sent and observation received."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent when the connection is opened."""
    queue_timeout_s: float | None = None
    """Seconds to wait for a slot on a full server; None: as long as the server lets its clients wait."""
    ca_file: str | None = None
    """PEM file of the authorities that `https` servers are checked against; None: the usual ones."""
    ping_interval_s: float = 20.0
    """Seconds between pings, which keep proxies from dropping a connection over which nothing is said."""
    wire: WireChoice = "auto"
    """`"native"` refuses servers that only speak OpenEnv's JSON; `"json"` asks for nothing else."""


def make_options(
    *,
    connect_timeout_s: float,
    message_timeout_s: float | None,
    max_message_size_mb: float,
    headers: Mapping[str, str] | None,
    token: str | None,
    wire: WireChoice,
    ping_interval_s: float,
    queue_timeout_s: float | None = None,
    ca_file: str | os.PathLike[str] | None = None,
) -> Options:
    """Check the constructor's arguments and fold them into `Options`.

    Raises:
        ValueError: a time or size that is not above zero, no such wire, or a header that HTTP cannot carry.
    """
    for name, value in (
        ("connect_timeout_s", connect_timeout_s),
        ("message_timeout_s", message_timeout_s),
        ("max_message_size_mb", max_message_size_mb),
        ("ping_interval_s", ping_interval_s),
    ):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0, not {value!r}")
    if queue_timeout_s is not None and not queue_timeout_s >= 0:
        raise ValueError(f"queue_timeout_s must be 0 or more, not {queue_timeout_s!r}")
    if ca_file is not None and not os.path.isfile(ca_file):
        raise ValueError(f"ca_file: there is no file {os.fspath(ca_file)!r}")
    if wire not in ("auto", "native", "json"):
        raise ValueError(f"wire must be 'auto', 'native' or 'json', not {wire!r}")
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    for header, text in sent.items():
        # The value is not shown: it may be a secret.
        if not isinstance(text, str):
            raise ValueError(f"the value of the header {header!r} must be text, not {type(text).__name__}")
        if not _HEADER_NAME.fullmatch(header) or not _HEADER_VALUE.fullmatch(text):
            raise ValueError(
                f"the header {header!r} has characters that HTTP cannot carry, in its name or its value, "
                "or space around its value"
            )
    return Options(
        connect_timeout_s=connect_timeout_s,
        message_timeout_s=message_timeout_s,
        max_message_bytes=int(max_message_size_mb * MIB),
        headers=tuple(sorted(sent.items())),
        queue_timeout_s=queue_timeout_s,
        ca_file=None if ca_file is None else os.path.abspath(ca_file),
        wire=wire,
        ping_interval_s=ping_interval_s,
    )


@dataclass(frozen=True)
class Target:
    """Where the server is: a URL, a Unix socket, or an app in this process."""

    url: str
    """The address of the `/ws` endpoint, under `http` or `https` as httpx wants it."""
    unix_path: str | None = None
    app: Any = None


def find_target(given: Any) -> Target:
    """Understand `http(s)://`, `ws(s)://`, a bare `host:port`, `unix:/path`, an Environment class or an ASGI app.

    Raises:
        UsageError: none of these.
    """
    if isinstance(given, str):
        return _address(given)
    if inspect.isclass(given) and callable(getattr(given, "step", None)):
        if Builders.app_for is None:
            raise UsageError("playing a class in process takes the whole package: import openenv_async")
        return Target("in-process", app=Builders.app_for(given))
    if callable(given):
        return Target("in-process", app=given)
    raise UsageError(
        f"cannot connect to {type(given).__name__}; give a URL, host:port, unix:/path, an Environment class, "
        "or an ASGI app"
    )


def _address(text: str) -> Target:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise UsageError(f"{text!r} needs an absolute path: unix:/path/to/socket")
        return Target("http://localhost/ws", unix_path=path)
    whole = text if "://" in text else f"http://{text}"
    how = "use http(s)://host:port, ws(s)://host:port, host:port or unix:/path"
    try:
        parts = urlsplit(whole)
        usable = parts.port != 0 and (parts.hostname or "").encode("idna")
    except ValueError as exc:
        raise UsageError(f"{text!r} is no address: {exc}; {how}") from exc
    scheme = {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(parts.scheme)
    if scheme is None or not usable:
        raise UsageError(f"{text!r} is no address; {how}")
    path = parts.path.rstrip("/").removesuffix("/ws")
    return Target(f"{scheme}://{parts.netloc}{path}/ws")
