"""Programs of the tests of spans: `serve EXECUTION`, a server that prints its address; `play URL`, a client."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from openenv_async import AsyncEnv, Environment, create_app
from openenv_async.errors import EnvironmentFailed


class Traced(Environment[Any, Any, Any]):
    """Makes a span of its own in each step, as an author may."""

    def __init__(self) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        provider = TracerProvider(resource=Resource.create({"service.name": "author"}))
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("author")
        assert trace is not None

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return {}

    def step(self, action: Any) -> Any:
        with self._tracer.start_as_current_span("judge"):
            if action.get("fail"):
                raise ValueError("no")
        return {}

    @property
    def state(self) -> Any:
        return {}


class AsyncTraced(Traced):
    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return {}

    async def step(self, action: Any) -> Any:
        with self._tracer.start_as_current_span("judge"):
            await asyncio.sleep(0)
            if action.get("fail"):
                raise ValueError("no")
        return {}


def serve(execution: str) -> None:
    from openenv_async.server.runner import serve_app

    cls = AsyncTraced if execution == "inline" else Traced
    serve_app(
        create_app(cls, dict, dict, execution=execution, otel=True if os.environ.get("ASKED") else None),
        port=0,
        ready=lambda urls: print(urls[0], flush=True),  # noqa: T201
    )


async def play(url: str) -> None:
    async with AsyncEnv[Any, Any, Any](url, wire="json" if os.environ.get("JSON") else "auto") as env:
        await env.reset()
        await env.step({})
        try:
            await env.step({"fail": 1})
        except EnvironmentFailed as exc:
            print(exc.session_id, exc.request_id)  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        asyncio.run(play(sys.argv[2]))
