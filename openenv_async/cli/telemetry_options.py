"""What `openenv serve` shows of a running server: its log on stderr, `/metrics`, OpenTelemetry.

Owns the options; `server.telemetry` does what they ask for, `observe` knows how.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

from openenv_async.cli.errors import BadInput

F = TypeVar("F", bound=Callable[..., Any])


def observing_options(command: F) -> F:
    """Add the options to a command."""
    options = (
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            envvar="OPENENV_LOG_FORMAT",
            show_envvar=True,
            help="How lines are written to stderr: for people, or one JSON object each.",
        ),
        click.option(
            "--metrics/--no-metrics",
            default=None,
            help="Count for /metrics. [default: yes, where prometheus-client is installed]",
        ),
        click.option(
            "--otel/--no-otel",
            default=None,
            help="Send OpenTelemetry spans. [default: where OTEL_EXPORTER_OTLP_ENDPOINT is set]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_otel(otel: bool | None) -> None:
    """Refuse `--otel` where it cannot be had.

    Raises:
        BadInput: what it needs is not installed.
    """
    if otel:
        from openenv_async.tracing import INSTALL, installed

        if not installed():
            raise BadInput(f"--otel: {INSTALL}")


def access_log(level: str | None, log_format: str) -> bool | logging.Logger:
    """Say where requests are written: nowhere, to stdout as Hypercorn does, or with the other JSON lines."""
    if level != "debug":
        return False
    return logging.getLogger("openenv_async.access") if log_format == "json" else True


def log_to_stderr(level: str | None, log_format: str) -> None:
    """Write the log to stderr, without secrets, and with the ids of sessions and requests.

    Args:
        level: the least that is written; None: INFO, but as text nothing of sessions with which all is well. Who
            starts a server and never reads what it writes would have it stop in the middle of a line otherwise,
            once the pipe is full.
        log_format: `text` or `json`.
    """
    from openenv_async.observe.log_formatters import JsonLines, TextLines
    from openenv_async.observe.session_log import logger as sessions
    from openenv_async.server.log_filter import FILTER, protect

    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(FILTER.clean_field) if log_format == "json" else TextLines())
    logging.basicConfig(level=(level or "info").upper(), handlers=[handler])
    if level is None and log_format == "text":
        sessions.setLevel(logging.WARNING)
    protect(handlers=True)
