"""The client's spans, where the trainer uses OpenTelemetry: a channel that makes a span of each request.

Without OpenTelemetry a client uses its channel as it is, and a call costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from openenv_async import tracing
from openenv_async.client.channel import Answer, Channel, RequestKind
from openenv_async.errors import EnvError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


def traced(channel: Channel) -> Channel:
    """Return a channel that makes spans: by the program's provider or, where an endpoint is set, by one of ours."""
    provider = tracing.provider_of_the_program()
    if provider is None and tracing.configured() and tracing.installed():
        provider = tracing.own_provider("openenv-client", ends_with_process=True)
    return channel if provider is None else TracedChannel(channel, provider.get_tracer(tracing.NAME))


class TracedChannel(Channel):
    """A channel that makes a span of each request; its name travels with it to a server that makes spans too."""

    def __init__(self, channel: Channel, tracer: Tracer) -> None:
        self._inner, self._tracer = channel, tracer
        self.native = channel.native

    @property
    def session_id(self) -> str | None:
        return self._inner.session_id

    @property
    def request_id(self) -> int | None:
        return self._inner.request_id

    @property
    def traces(self) -> bool:
        return self._inner.traces

    @property
    def lost(self) -> EnvError | None:
        return self._inner.lost

    @property
    def on_resumed(self) -> Callable[[], None] | None:
        """Called each time the session continues over a new connection."""
        return self._inner.on_resumed

    @on_resumed.setter
    def on_resumed(self, heard: Callable[[], None] | None) -> None:
        self._inner.on_resumed = heard

    @property
    def retiring(self) -> bool:
        return self._inner.retiring

    async def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = "") -> Answer:
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(f"openenv.{kind}", kind=SpanKind.CLIENT) as span:
            try:
                named = tracing.parent() if self._inner.traces else ""
                return await self._inner.request(kind, payload, timeout_s, named)
            except EnvError as exc:
                span.set_attribute("error.type", exc.code)
                raise
            finally:
                self._name(span)

    def _name(self, span: Span) -> None:
        """Name the session and the request as the server's log does."""
        if self._inner.session_id:
            span.set_attribute("openenv.session_id", self._inner.session_id)
        if self._inner.request_id:
            span.set_attribute("openenv.request_id", self._inner.request_id)

    def give_up(self) -> None:
        self._inner.give_up()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def abandon(self) -> None:
        self._inner.abandon()
