"""What a running server shows of itself: counts for `/metrics`, lines for the log, spans for OpenTelemetry.

Each part is a `runtime.session.SessionObserver` or stands beside the event loop. `server` puts them to work.
"""
