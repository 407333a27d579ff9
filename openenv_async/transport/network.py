"""Chooses the client link for an address: `ws_client`, or `proxy_client` where a proxy is configured."""

from __future__ import annotations

from urllib.parse import urlsplit

from openenv_async.transport.address import Address, is_loopback
from openenv_async.transport.link import Link
from openenv_async.transport.ws_client import open_ws_link


async def connect_link(address: Address) -> Link:
    """Open a WebSocket to an address.

    Raises:
        LinkRefused: no answer in time or at all, or the answer was not a WebSocket.
        CertificateRefused: one side does not accept the other's certificate.
    """
    parts = urlsplit(address.url)
    host = parts.hostname or "localhost"
    if address.unix_path is not None or is_loopback(host) or not _proxied(parts.scheme, host):
        return await open_ws_link(address)
    # httpx takes longer to import than everything else here; most clients never need it.
    from openenv_async.transport.proxy_client import open_proxy_link

    return await open_proxy_link(address)


def _proxied(scheme: str, host: str) -> bool:
    import urllib.request

    proxies = urllib.request.getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not urllib.request.proxy_bypass(host)
