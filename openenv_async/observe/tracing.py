"""Whether OpenTelemetry is to be used, without importing it where it is not. `spans` makes the server's spans."""

from __future__ import annotations

import importlib.util
import logging
import os

logger = logging.getLogger("openenv_async")

INSTALL = "OpenTelemetry is not installed: pip install 'openenv-async[otel]'"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def installed() -> bool:
    """Say whether the packages of the extra `otel` are there."""
    try:
        return all(
            importlib.util.find_spec(name) is not None
            for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:
        return False


def configured() -> bool:
    """Say whether the environment names where spans are to be sent, and does not forbid it."""
    forbidden = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not forbidden and any(os.environ.get(name) for name in _ENDPOINTS)


def wanted(asked: bool | None) -> bool:
    """Say whether a server is to make spans.

    Args:
        asked: the setting; None: where an endpoint is configured.
    """
    if asked is False or (asked is None and not configured()):
        return False
    if not installed():
        logger.warning("no spans are sent: %s", INSTALL)
        return False
    return True
