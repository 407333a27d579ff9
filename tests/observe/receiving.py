"""A collector that receives spans as OTLP over HTTP and keeps them."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.servers import BOUND_S


@dataclass
class Span:
    """One span as it came."""

    service: str
    name: str
    kind: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    failed: bool
    links: list[bytes]


class Collector:
    """Where to send to is `endpoint`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, request: Any) -> None:
        found = [
            _span(names.get("service.name", ""), span)
            for names, scopes in (
                (_plain(each.resource.attributes), each.scope_spans) for each in request.resource_spans
            )
            for scope in scopes
            for span in scope.spans
        ]
        with self._changed:
            self.spans += found
            self._changed.notify_all()

    def until(self, service: str, true: Callable[[list[Span]], bool]) -> list[Span]:
        """Return one service's spans when there are enough. Blocks."""

        def theirs() -> list[Span]:
            return [span for span in self.spans if span.service == service]

        with self._changed:
            assert self._changed.wait_for(lambda: true(theirs()), BOUND_S), self.spans
            return theirs()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(BOUND_S)


def _span(service: str, span: Any) -> Span:
    return Span(
        service,
        span.name,
        span.kind,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _plain(span.attributes),
        span.status.code == 2,
        [link.span_id for link in span.links],
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()
