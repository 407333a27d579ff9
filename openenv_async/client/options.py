"""How a client connects: its options, declared once, and the targets it understands.

`ClientOptions` is the declaration. The constructors of `AsyncEnv` and `SyncEnv`, their documentation and the page of
settings are made from it. To add an option, add it there and use it in `pool`.
"""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypedDict, TypeVar, get_args, get_type_hints
from urllib.parse import urlsplit

from openenv_async.errors import UsageError
from openenv_async.limits import MIB

WireChoice = Literal["auto", "native", "json"]

# RFC 9110, section 5.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")


class Provider(Protocol):
    """A source of servers: a process, a container, a Space. Owned by the client it is given to."""

    async def start(self) -> str:
        """Start a server and return its URL once it is healthy."""

    async def stop(self) -> None:
        """End the server. Safe to repeat."""


class ClientOption(NamedTuple):
    """What an option has besides its name and type."""

    default: Any
    help: str
    """What it does, in one sentence with units."""
    above: float = -math.inf
    """A number must be larger than this."""
    least: float = -math.inf
    """A number must not be smaller than this."""


class ClientOptions(TypedDict, total=False):
    """Keyword arguments of `AsyncEnv` and `SyncEnv`; the first four have OpenEnv's names and defaults."""

    connect_timeout_s: Annotated[float, ClientOption(10.0, "Seconds to reach the server and agree on a wire.", above=0)]
    message_timeout_s: Annotated[
        float | None,
        ClientOption(
            60.0, "Seconds a call waits for its answer when it has no `timeout_s`; None: without limit.", above=0
        ),
    ]
    max_message_size_mb: Annotated[float, ClientOption(100.0, "Largest action and observation, in MiB.", above=0)]
    headers: Annotated[Mapping[str, str] | None, ClientOption(None, "HTTP headers sent when connecting.")]
    provider: Annotated[
        Provider | None,
        ClientOption(None, "Starts the server when there is no `base_url`, and ends it with the client."),
    ]
    token: Annotated[str | None, ClientOption(None, "Sent as `Authorization: Bearer`.")]
    wire: Annotated[
        WireChoice,
        ClientOption(
            "auto",
            '`"auto"` takes the native wire where the server has it, else OpenEnv\'s JSON; `"native"` refuses a '
            'server that only speaks JSON; `"json"` asks for nothing else.',
        ),
    ]
    queue_timeout_s: Annotated[
        float | None,
        ClientOption(None, "Seconds to wait for a slot on a full server; None: as long as the server allows.", least=0),
    ]
    ca_file: Annotated[
        str | PathLike[str] | None,
        ClientOption(None, "PEM file of the authorities that an `https` server is checked against; None: the usual."),
    ]
    client_cert_file: Annotated[
        str | PathLike[str] | None,
        ClientOption(None, "PEM file of the certificate that this client presents to an `https` server."),
    ]
    client_key_file: Annotated[
        str | PathLike[str] | None,
        ClientOption(None, "PEM file of its private key, without a password; None: it is in `client_cert_file`."),
    ]
    ping_interval_s: Annotated[
        float,
        ClientOption(20.0, "Seconds between pings, which keep proxies from dropping a quiet connection.", above=0),
    ]


class OptionRow(NamedTuple):
    """One option as documentation lists it."""

    name: str
    type: str
    """As it is written in Python."""
    default: Any
    help: str


CLIENT_OPTIONS = {name: get_args(hint) for name, hint in get_type_hints(ClientOptions, include_extras=True).items()}
"""Every option's type and `ClientOption` by its name."""


def option_rows() -> list[OptionRow]:
    """Return every client option, in the order of the declaration."""
    rows = []
    for name, (kind, option) in CLIENT_OPTIONS.items():
        written = re.sub(r"[\w.]+\.(\w+)", r"\1", inspect.formatannotation(kind))
        rows.append(OptionRow(name, written, option.default, option.help))
    return rows


F = TypeVar("F", bound=Callable[..., Any])


def with_client_options(function: F) -> F:
    """Let `help()`, editors and `inspect.signature` see the options that a function takes as `**options`."""
    signature = inspect.signature(function)
    named = [parameter for parameter in signature.parameters.values() if parameter.kind != parameter.VAR_KEYWORD]
    named += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=kind)
        for name, (kind, option) in CLIENT_OPTIONS.items()
    ]
    lines = [f"    {row.name}: {row.help}" for row in option_rows()]
    described: Any = function
    described.__signature__ = signature.replace(parameters=named)
    described.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Options:", *lines])
    return function


class Headers(dict[str, str]):
    """HTTP headers whose values are not shown: they may be secrets."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


def completed(client: str, given: ClientOptions) -> ClientOptions:
    """Check the options that a client was given and return all of them; `headers` include the token.

    Args:
        client: the client's class, for errors.
        given: its keyword arguments.

    Raises:
        TypeError: there is no option of that name.
        ValueError: a time or size out of bounds, an unknown wire, no such file, or a header that HTTP cannot carry.
    """
    options: Any = {name: option.default for name, (_, option) in CLIENT_OPTIONS.items()}
    for name, value in given.items():
        if name not in options:
            raise TypeError(f"{client}() got an unexpected keyword argument {name!r}")
        _check_bounds(name, value, CLIENT_OPTIONS[name][1])
        options[name] = value
    if options["wire"] not in get_args(WireChoice):
        raise ValueError(f"wire must be 'auto', 'native' or 'json', not {options['wire']!r}")
    for name in ("ca_file", "client_cert_file", "client_key_file"):
        if options[name] is not None:
            if not os.path.isfile(options[name]):
                raise ValueError(f"{name}: there is no file {os.fspath(options[name])!r}")
            options[name] = os.path.abspath(options[name])
    if options["client_key_file"] is not None and options["client_cert_file"] is None:
        raise ValueError("client_key_file needs client_cert_file: the certificate that the key belongs to")
    token = options.pop("token")
    options["headers"] = _checked_headers(options["headers"], token)
    complete: ClientOptions = options
    return complete


def _check_bounds(name: str, value: Any, option: ClientOption) -> None:
    # Written so that NaN is refused too.
    if value is None:
        return
    if option.above > -math.inf and not value > option.above:
        raise ValueError(f"{name} must be above {option.above:g}, not {value!r}")
    if option.least > -math.inf and not value >= option.least:
        raise ValueError(f"{name} must be {option.least:g} or more, not {value!r}")


def _checked_headers(headers: Mapping[str, str] | None, token: str | None) -> Headers:
    sent = Headers(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    for name, value in sent.items():
        # The value is not shown: it may be a secret.
        if not isinstance(value, str):
            raise ValueError(f"the value of the header {name!r} must be text, not {type(value).__name__}")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the header {name!r} has characters that HTTP cannot carry, in its name or its value, "
                "or space around its value"
            )
    return sent


def max_message_bytes(options: ClientOptions) -> int:
    """Return the largest action sent and observation received."""
    return int(options["max_message_size_mb"] * MIB)


@dataclass(frozen=True)
class ConnectTarget:
    """A server: at a URL, on a Unix socket, or an app in this process."""

    url: str
    """The address of the `/ws` endpoint, under `http` or `https` as httpx wants it."""
    unix_path: str | None = None
    app: Any = None


def find_target(given: Any) -> ConnectTarget:
    """Read `http(s)://`, `ws(s)://`, a bare `host:port`, `unix:/path`, an Environment class or an ASGI app.

    Raises:
        UsageError: none of these.
    """
    if isinstance(given, str):
        return _address(given)
    if inspect.isclass(given) and callable(getattr(given, "step", None)):
        from openenv_async.server import create_app_for

        env_cls: Any = given
        return ConnectTarget("in-process", app=create_app_for(env_cls))
    if callable(given):
        return ConnectTarget("in-process", app=given)
    raise UsageError(
        f"cannot connect to {type(given).__name__}; give a URL, host:port, unix:/path, an Environment class, "
        "or an ASGI app"
    )


def _address(text: str) -> ConnectTarget:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise UsageError(f"{text!r} needs an absolute path: unix:/path/to/socket")
        return ConnectTarget("http://localhost/ws", unix_path=path)
    whole = text if "://" in text else f"http://{text}"
    how = "use http(s)://host:port, ws(s)://host:port, host:port or unix:/path"
    try:
        parts = urlsplit(whole)
        usable = parts.port != 0 and (parts.hostname or "").encode("idna")
    except ValueError as exc:
        raise UsageError(f"{text!r} is not an address: {exc}; {how}") from exc
    scheme = {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(parts.scheme)
    if scheme is None or not usable:
        raise UsageError(f"{text!r} is not an address; {how}")
    path = parts.path.rstrip("/").removesuffix("/ws")
    return ConnectTarget(f"{scheme}://{parts.netloc}{path}/ws")
