"""Which of the two client links an address takes: `ws_client`, or `proxy_client` where TLS or a proxy is needed."""

from __future__ import annotations

from urllib.parse import urlsplit

from openenv_async.transport.address import Address, is_loopback
from openenv_async.transport.link import Link
from openenv_async.transport.ws_client import open_direct_link


async def connect_link(address: Address) -> Link:
    """Open a WebSocket to an address, the cheapest way that reaches it.

    Raises:
        LinkRefused: nobody answered, in time or at all, or the answer was not a WebSocket.
    """
    parts = urlsplit(address.url)
    host = parts.hostname or "localhost"
    plain = parts.scheme == "http"
    if address.unix_path is not None or (plain and (is_loopback(host) or not _proxied(host))):
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return await open_direct_link(address, host, parts.port or 80, target)
    # httpx takes longer to import than everything else here; most clients never need it.
    from openenv_async.transport.proxy_client import open_link

    return await open_link(address)


def _proxied(host: str) -> bool:
    import urllib.request

    proxies = urllib.request.getproxies()
    return bool(proxies.get("http") or proxies.get("all")) and not urllib.request.proxy_bypass(host)
