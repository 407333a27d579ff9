"""OpenTelemetry: whether it is installed and configured, the providers of spans, and `traceparent`.

Owns everything that depends on the library's set-up; imports it when it is used, and not before. `observe.spans` makes
the server's spans, `client.tracing` the client's. A `traceparent` is W3C's: 55 characters that name a span.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

logger = logging.getLogger("openenv_async")

T = TypeVar("T")

INSTALL = "OpenTelemetry is not installed: pip install 'openenv-async[otel]'"

PARENT_LENGTH = 55
"""Characters of a `traceparent`; what is longer or shorter is not one that we know."""

NAME = "openenv_async"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


def installed() -> bool:
    """Return whether the packages of the extra `otel` are installed."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:
        return False


def configured() -> bool:
    """Return whether environment variables say where to send spans, and do not forbid it."""
    forbidden = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not forbidden and any(os.environ.get(name) for name in _ENDPOINTS)


def wanted(asked: bool | None) -> bool:
    """Return whether a server is to make spans.

    Args:
        asked: the setting; None: where an endpoint is configured.
    """
    if asked is False or (asked is None and not configured()):
        return False
    if not installed():
        logger.warning("no spans are sent: %s", INSTALL)
        return False
    return True


def provider_of_the_program() -> TracerProvider | None:
    """Return the provider that the surrounding program has set up, or None. Imports nothing."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    return None if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)) else provider


@functools.cache
def own_provider(service: str, *, ends_with_process: bool) -> TracerProvider:
    """Return a provider that sends spans over HTTP to the configured endpoint. Made once per service.

    Args:
        service: its name, unless `OTEL_SERVICE_NAME` says another.
        ends_with_process: send what is left as the process ends, waiting for it.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": named}), shutdown_on_exit=ends_with_process)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def parent() -> str:
    """Return the `traceparent` of the current span; empty: there is none, or OpenTelemetry is not in use."""
    if "opentelemetry.trace" not in sys.modules:
        return ""
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def context_of(traceparent: str) -> Context | None:
    """Return a context in which the span that a peer named is current; None without a valid `traceparent`."""
    if len(traceparent) != PARENT_LENGTH:
        return None
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    return context if get_current_span(context).get_span_context().is_valid else None


@contextlib.contextmanager
def _under(traceparent: str) -> Iterator[None]:
    context = context_of(traceparent) if "opentelemetry.trace" in sys.modules else None
    if context is None:
        yield
        return
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def run_under(traceparent: str, function: Callable[..., T], *args: Any) -> T:
    """Call a function so that spans of its own are children of the peer's, if it makes any."""
    with _under(traceparent):
        return function(*args)


async def await_under(traceparent: str, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine so that spans of its own are children of the peer's."""
    with _under(traceparent):
        return await work
