"""Where a server's settings come from, in one place: arguments, `openenv serve`'s options, the environment.

An app is made when its module is imported, before `openenv serve` could touch it;
so the command leaves its options here first, and `create_app` asks.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openenv_async.limits import Limits
from openenv_async.recording.options import MIB, RecordOptions
from openenv_async.runtime.processes.options import ProcessOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Overrides:
    """Options of the command line; None leaves what the app's author chose."""

    max_sessions: int | None = None
    execution: str | None = None
    token: str | None = None
    allow_origins: tuple[str, ...] | None = None
    debug: bool | None = None
    step_timeout_s: float | None = None
    sessions_per_process: int | None = None
    spare_processes: int | None = None
    metrics: bool | None = None
    otel: bool | None = None
    record: Path | None = None
    record_redact: tuple[str, ...] | None = None
    record_file_mb: float | None = None
    record_total_mb: float | None = None
    interface: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What one server runs with."""

    limits: Limits
    execution: str | None
    token: str | None = dataclasses.field(repr=False)
    allow_origins: tuple[str, ...]
    debug: bool
    processes: ProcessOptions = ProcessOptions()
    metrics: bool = True
    """Count for `/metrics`."""
    otel: bool | None = None
    """Make OpenTelemetry spans; None: where an exporter's endpoint is set in the environment."""
    record: RecordOptions | None = None
    interface: bool = False
    """There is a web page at `/web`."""
    frame_ancestors: tuple[str, ...] = ("'self'",)
    """Whose pages may show the web page in a frame, as a Content-Security-Policy says it."""


_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

_overrides = Overrides()


def override(overrides: Overrides) -> None:
    """Set the options that every app made from now on in this process takes."""
    global _overrides
    _overrides = overrides


def settle(
    env: Callable[[], Any],
    *,
    max_concurrent_envs: int | None,
    execution: str | None,
    limits: Limits | None,
    token: str | None,
    allow_origins: tuple[str, ...],
    debug: bool,
    processes: ProcessOptions | None = None,
    metrics: bool | None = None,
    otel: bool | None = None,
    record: RecordOptions | str | os.PathLike[str] | None = None,
    interface: bool | None = None,
) -> Settings:
    """Combine the options, the arguments and the environment variables, in that order of weight.

    Raises:
        ValueError: the environment class allows one session only and more were asked for, or a variable of the
            environment has a value that makes no sense.
    """
    wanted = _overrides.max_sessions or max_concurrent_envs
    limits = limits or Limits()
    alone = getattr(env, "SUPPORTS_CONCURRENT_SESSIONS", True) is False
    if alone and wanted is not None and wanted > 1:
        raise ValueError(
            f"{getattr(env, '__name__', env)} has SUPPORTS_CONCURRENT_SESSIONS = False and cannot run "
            f"{wanted} sessions; set max_concurrent_envs=1, or make it safe to have several and drop the flag"
        )
    if wanted is not None or alone:
        limits = dataclasses.replace(limits, max_sessions=wanted or 1)
    step_timeout_s = _overrides.step_timeout_s or limits.step_timeout_s or _seconds("OPENENV_STEP_TIMEOUT")
    if step_timeout_s is not None:
        limits = dataclasses.replace(limits, step_timeout_s=step_timeout_s)
    origins = allow_origins if _overrides.allow_origins is None else _overrides.allow_origins
    return Settings(
        limits=limits,
        execution=_overrides.execution or execution or os.environ.get("OPENENV_EXECUTION") or None,
        token=_overrides.token or token or os.environ.get("OPENENV_TOKEN") or None,
        allow_origins=tuple(origins),
        debug=debug if _overrides.debug is None else _overrides.debug,
        processes=_process_options(processes),
        metrics=_first(_overrides.metrics, metrics, _switch("OPENENV_METRICS"), True),
        otel=_first(_overrides.otel, otel, _switch("OPENENV_OTEL")),
        record=_record_options(record),
        interface=wants_interface(interface),
        frame_ancestors=_frame_ancestors(tuple(origins)),
    )


def _first(*choices: Any) -> Any:
    return next((choice for choice in choices if choice is not None), None)


def _switch(variable: str) -> bool | None:
    text = os.environ.get(variable, "").strip().lower()
    if not text:
        return None
    if text not in _SWITCH:
        raise ValueError(f"the variable {variable} must be 1 or 0, not {text!r}")
    return _SWITCH[text]


def wants_interface(chosen: bool | None = None) -> bool:
    """Say whether there is to be a web page: by the command's option, what the author chose, `ENABLE_WEB_INTERFACE`."""
    if _overrides.interface is not None:
        return _overrides.interface
    if chosen is not None:
        return chosen
    return os.environ.get("ENABLE_WEB_INTERFACE", "").strip().lower() in ("1", "true", "yes", "on")


def _frame_ancestors(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Let the Hub show a Space's page in a frame, as it does, and whoever may connect anyway."""
    if "*" in origins:
        return ("*",)
    hub = ("https://huggingface.co", "https://*.hf.space") if os.environ.get("SPACE_ID") else ()
    return ("'self'", *hub, *(origin for origin in origins if re.fullmatch(r"[\w.:/*-]+", origin)))


def _record_options(chosen: RecordOptions | str | os.PathLike[str] | None) -> RecordOptions | None:
    folder = _overrides.record or chosen or os.environ.get("OPENENV_RECORD") or None
    if folder is None:
        return None
    if not isinstance(folder, RecordOptions):
        fields = [field.strip() for field in os.environ.get("OPENENV_RECORD_REDACT", "").split(",")]
        folder = RecordOptions(folder=Path(folder), redact=tuple(filter(None, fields)))
    given: dict[str, Any] = {"redact": (*folder.redact, *(_overrides.record_redact or ()))}
    if _overrides.record_file_mb is not None:
        given["max_file_bytes"] = int(_overrides.record_file_mb * MIB)
    if _overrides.record_total_mb is not None:
        given["max_total_bytes"] = int(_overrides.record_total_mb * MIB)
    return dataclasses.replace(folder, **given)


def _seconds(variable: str) -> float | None:
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise ValueError(f"the variable {variable} must be a number of seconds above 0, not {text!r}")
    return value


def _process_options(chosen: ProcessOptions | None) -> ProcessOptions:
    given: dict[str, Any] = {}
    for name in ("sessions_per_process", "spare_processes"):
        value = getattr(_overrides, name)
        if value is None and chosen is None:
            value = _number(f"OPENENV_{name.upper()}")
        if value is not None:
            given[name] = value
    return dataclasses.replace(chosen or ProcessOptions(), **given)


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    try:
        return int(text) if text else None
    except ValueError:
        raise ValueError(f"{variable} must be a whole number, not {text!r}") from None
