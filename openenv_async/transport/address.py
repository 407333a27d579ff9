"""Where a server listens and how to ask it for a connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server listens and how to ask for a connection."""

    url: str
    """`http(s)://host:port/prefix/ws`; httpx opens WebSockets under these schemes."""
    unix_path: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold a token, which must not get into a log."""
    subprotocols: tuple[str, ...] = ()
    ca_file: str | None = None
    """PEM file of the authorities that a server under `https` is checked against; None: the usual ones."""
    client_cert_file: str | None = None
    """PEM file of the certificate that this client presents, and after it of those between it and its root."""
    client_key_file: str | None = None
    """PEM file of its private key, without a password; None: it is in `client_cert_file` too."""
    connect_timeout_s: float = 10.0
    ping_interval_s: float | None = 20.0
    """Seconds between pings; None: none. Common proxies drop connections that are silent for 30 or 60 seconds."""
    ping_timeout_s: float = 20.0
    """Seconds after a ping in which something must be received, else the link ends; `math.inf`: it never does."""


def is_loopback(host: str) -> bool:
    """Return whether an address stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
