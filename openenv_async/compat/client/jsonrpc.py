"""JSON-RPC over HTTP, for `/mcp`: one HTTP client for each event loop it is used on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from openenv_async.compat.client.options import plain
from openenv_async.transport.address import is_loopback

if TYPE_CHECKING:
    import httpx

_HTTP = {"ws": "http", "wss": "https", "": "http"}


class JsonRpc:
    """Asks `/mcp` of a server."""

    def __init__(self) -> None:
        self.client: httpx.AsyncClient | None = None
        """Of the last request; None before the first one and after `aclose`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_id = 0

    def lend(self, client: httpx.AsyncClient | None) -> None:
        """Use this client from now on, on any event loop; `aclose` closes it."""
        self.client, self._loop = client, None

    async def request(
        self,
        url: str,
        method: str,
        params: dict[str, Any],
        timeout_s: float | None,
        headers: Mapping[str, str] | None,
    ) -> dict[str, Any]:
        """Send a request to the address of `/mcp` and give the whole answer.

        Raises:
            TimeoutError: no answer within `timeout_s` seconds.
            ConnectionError: nobody answered, or not with JSON-RPC.
        """
        import json

        import httpx

        self._last_id += 1
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": self._last_id}
        content = json.dumps(body, default=plain).encode()
        try:
            answer = await self._http(url).post(
                url,
                content=content,
                headers=dict(headers or {}) | {"content-type": "application/json"},
                timeout=timeout_s,
            )
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except httpx.TimeoutException as exc:
            raise TimeoutError(f"the server at {url} did not answer {method} within {timeout_s} s") from exc
        except httpx.HTTPStatusError as exc:
            raise ConnectionError(
                f"the server at {url} answered {method} with HTTP {exc.response.status_code}"
            ) from exc
        except (httpx.HTTPError, ValueError) as exc:
            raise ConnectionError(f"Failed to connect to {url}: {exc or type(exc).__name__}") from exc
        return found

    async def aclose(self) -> None:
        """Close the connections. Safe to repeat; the object can be used again."""
        client, self.client = self.client, None
        if client is not None and self._loop in (None, asyncio.get_running_loop()):
            with contextlib.suppress(Exception):
                await client.aclose()

    def _http(self, url: str) -> httpx.AsyncClient:
        import httpx

        loop = asyncio.get_running_loop()
        if self.client is None or self._loop not in (None, loop):
            # A proxy named by the environment must not catch what stays on this machine.
            self.client = httpx.AsyncClient(trust_env=not is_loopback(httpx.URL(url).host))
            self._loop = loop
        return self.client


def mcp_url(base_url: str) -> str:
    """Give the address of `/mcp` below a server's, whatever its scheme."""
    whole = base_url if "://" in base_url else f"http://{base_url}"
    parts = urlsplit(whole)
    scheme = _HTTP.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/mcp", "", ""))
