"""The bodies of HTTP requests as they arrive: each has a bound in size and in time, and all of them share one."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request

from openenv_async.limits import Limits
from openenv_async.protocol.batches import too_large
from openenv_async.transport.traffic import Traffic


class Bodies:
    """Reads the bodies of one server's requests."""

    def __init__(self, limits: Limits, traffic: Traffic) -> None:
        self._limits, self._traffic = limits, traffic
        self._arriving = 0

    async def read(self, request: Request) -> bytes:
        """Give a whole body, without the space around it; an empty one is an empty object.

        Raises:
            PayloadTooLarge: it is larger than a message may be.
            HTTPException: 408, it took too long; 503, others that are arriving leave no room for it.
        """
        limit = self._limits.max_message_bytes
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told) > limit:
            raise too_large(int(told), limit)
        parts: list[bytes] = []
        patience_s = self._limits.body_timeout_s
        try:
            async with asyncio.timeout(patience_s):
                return await self._whole(request, parts, limit)
        except TimeoutError:
            text = f"the body did not arrive within {patience_s:g} s (body_timeout_s)"
            raise HTTPException(408, text, {"connection": "close"}) from None
        finally:
            self._arriving -= sum(map(len, parts))

    async def _whole(self, request: Request, parts: list[bytes], limit: int) -> bytes:
        size, most = 0, self._limits.max_connection_bytes
        async for part in request.stream():
            size += len(part)
            self._traffic.received += len(part)
            if size > limit:
                raise too_large(size, limit, "or more ")
            # One alone may always arrive, however the limits are set.
            if self._arriving + len(part) > most and self._arriving + len(part) > size:
                text = f"the bodies that are arriving hold {self._arriving:,} bytes; the limit is {most:,} bytes"
                headers = {"connection": "close", "retry-after": "1"}
                raise HTTPException(503, f"{text} (max_connection_bytes)", headers)
            self._arriving += len(part)
            parts.append(part)
        return b"".join(parts).strip() or b"{}"
