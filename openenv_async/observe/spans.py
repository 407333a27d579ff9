"""OpenTelemetry spans of a server: one for each session and each call, as a child of the client's span if there is one.

Imports the extra `otel`. A call's span is made after the call, with its start and end times, so that it does not
delay the call.
"""

from __future__ import annotations

import asyncio
import time

from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, set_span_in_context

from openenv_async import tracing
from openenv_async.errors import EnvError
from openenv_async.runtime.calls import Call, CallCancelled, Outcome
from openenv_async.runtime.session import Session, SessionObserver
from openenv_async.runtime.threads import PinnedThread

FLUSH_S = 3.0
"""Seconds that a server waits at its end until its last spans are sent."""


class Spans(SessionObserver):
    """Makes spans with the program's own tracer provider or, without one, with a provider of this package.

    Args:
        environment: name of the environment, an attribute of every span.
    """

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._provider = tracing.provider_of_the_program() or tracing.own_provider(
            "openenv-server", ends_with_process=False
        )
        self._tracer = self._provider.get_tracer(tracing.NAME)
        self._spans: dict[Session, Span] = {}

    async def flush(self) -> None:
        """Send the remaining spans, within `FLUSH_S`."""
        flush = getattr(self._provider, "force_flush", None)
        if flush is None:
            return
        # A thread of its own: closing the loop's pool would wait for a collector that does not answer.
        thread = PinnedThread("openenv spans")
        flushed = thread.run(flush, int(FLUSH_S * 1000))
        thread.stop()
        await asyncio.wait([flushed], timeout=FLUSH_S)
        if flushed.done():
            flushed.exception()

    def waiting(self, session: Session) -> None:
        self._spans[session] = self._tracer.start_span(
            "openenv.session",
            context=tracing.context_of(session.trace),
            kind=SpanKind.SERVER,
            attributes={"openenv.session_id": session.id, "openenv.environment": self._environment},
        )

    def opened(self, session: Session) -> None:
        self._event(session, "opened")

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        home = self._spans.get(session)
        if home is None:  # the session began before spans were made
            return
        ended_ns = time.time_ns()
        context = tracing.context_of(call.trace)
        span = self._tracer.start_span(
            f"openenv.{call.kind}",
            context=context or set_span_in_context(home),
            kind=SpanKind.SERVER,
            attributes={
                "openenv.session_id": session.id,
                "openenv.request_id": rid,
                "openenv.environment": self._environment,
            },
            links=[Link(home.get_span_context())] if context is not None else None,
            start_time=ended_ns - int(latency_s * 1e9),
        )
        if isinstance(outcome, Outcome):
            span.set_attribute("openenv.bytes", len(outcome.data))
        else:
            _fail(span, outcome)
        span.end(ended_ns)

    def detached(self, session: Session) -> None:
        self._event(session, "detached")

    def attached(self, session: Session) -> None:
        self._event(session, "resumed")

    def ended(self, session: Session, error: BaseException | None) -> None:
        span = self._spans.pop(session, None)
        if span is None:
            return
        span.set_attributes({"openenv.episodes": session.episodes, "openenv.steps": session.steps})
        if error is not None:
            _fail(span, error)
        span.end()

    def _event(self, session: Session, name: str) -> None:
        span = self._spans.get(session)
        if span is not None:
            span.add_event(name)


def _fail(span: Span, error: BaseException) -> None:
    if isinstance(error, CallCancelled):
        span.set_attribute("openenv.cancelled", True)
        return
    code = error.code if isinstance(error, EnvError) else EnvError.code
    text = error.message if isinstance(error, EnvError) else type(error).__name__
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, text))
