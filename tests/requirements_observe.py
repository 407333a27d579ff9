"""Promises about the monitoring of a running server, a part of `requirements`."""

from __future__ import annotations

OBSERVE = {
    "metrics:counts": "/metrics counts sessions, steps, calls with latencies, errors and bytes, to the last one.",
    "metrics:trouble": "/metrics counts deadlines, refusals, lost connections and resumes.",
    "metrics:processes": "/metrics counts processes that were started, crashed and were killed.",
    "metrics:token": "/metrics needs the token.",
    "metrics:off": "Without prometheus-client, or switched off, /metrics says so and everything else works.",
    "loop:blocked-named": "The log names what blocks the event loop while it does: environment, call, session, line.",
    "logs:ids": "Every line that concerns a session has its id and its request's, the environment's own lines too.",
    "logs:json": "--log-format json writes one JSON object for each event, without secrets.",
    "ids:results": "Results and errors have the session's and the request's id, as the server's log does.",
    "otel:context": "The server's span of a call is a child of the client's, received over OTLP.",
    "otel:unused": "Without OpenTelemetry nothing of it is imported, and no frame carries a trace.",
}
