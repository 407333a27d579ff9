"""Monitoring of a running server: `/metrics`, the log, and OpenTelemetry spans.

Each part is a `runtime.session.SessionObserver` or watches the event loop. `server` installs them.
"""
