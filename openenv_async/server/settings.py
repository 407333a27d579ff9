"""Settings of one server, from `openenv serve`, `create_app`'s arguments and the environment.

An app is made when its module is imported, before `openenv serve` has it; so the command passes its settings to
`override`, and `create_app` reads them. `server.options` declares the options.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openenv_async.limits import Limits
from openenv_async.recording.options import RecordOptions
from openenv_async.runtime.processes.options import ProcessOptions
from openenv_async.server.options import APP, BY_NAME, DEFAULT, OPTIONS, Given, Option, combined, from_environment


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """Settings of one server."""

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
    """Sites that may show the web page in a frame, as in a Content-Security-Policy."""
    given: Mapping[str, Given] = dataclasses.field(default_factory=dict, repr=False)
    """Every option of an app, by its name, and where its value comes from."""


_overrides: Mapping[str, Given] = {}


def override(given: Mapping[str, Given]) -> None:
    """Set the options, by their names, that count over everything else for apps made from now on in this process."""
    global _overrides
    _overrides = given


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
) -> ServerSettings:
    """Combine what `override` was given, the arguments and the environment variables; the first of them counts most.

    Raises:
        ValueError: the environment class allows one session only and more were asked for, or an environment variable
            has a value that its option does not take.
    """
    if record is not None and not isinstance(record, RecordOptions):
        record = RecordOptions(folder=Path(record))
    records: dict[str, Any] = {
        "limits": limits or Limits(),
        "processes": processes or ProcessOptions(),
        "record": record,
    }
    arguments = {
        "execution": execution or None,
        "token": token or None,
        "allow_origins": tuple(allow_origins) or None,
        "debug": debug or None,
        "metrics": metrics,
        "otel": otel,
        "interface": interface,
    }
    whole = () if processes is None else ("processes",)
    given = {
        option.name: _settled(option, _own(option, arguments, records, whole)) for option in OPTIONS if option.field
    }
    given["max_sessions"] = _sessions(env, max_concurrent_envs, records["limits"])
    values = {name: each.value for name, each in given.items()}
    origins = values["allow_origin"] or ()
    return ServerSettings(
        limits=dataclasses.replace(records["limits"], **_fields("limits", values)),
        execution=values["execution"],
        token=values["token"],
        allow_origins=origins,
        debug=values["debug"],
        processes=dataclasses.replace(records["processes"], **_fields("processes", values)),
        metrics=values["metrics"] is not False,
        otel=values["otel"],
        record=_recording(record, values),
        interface=values["interface"],
        frame_ancestors=_frame_ancestors(origins),
        given=given,
    )


def wants_interface(chosen: bool | None = None) -> bool:
    """Return whether there is a web page, if the author chose `chosen`."""
    return bool(_settled(BY_NAME["interface"], _by_author(chosen)).value)


def _by_author(value: Any) -> Given | None:
    return None if value is None else Given(value, APP)


def _settled(option: Option, own: Given | None) -> Given:
    """Return the value of an option, for which the author gave `own`."""
    first = _overrides.get(option.name)
    # `openenv serve` has read the environment itself. Where the author decides, a variable is not read, valid or not.
    settled = first is not None or (own is not None and not option.adds_up)
    last = None if settled else from_environment(option, os.environ)
    return combined(option, first, own, last) or Given(option.value, DEFAULT)


def _own(
    option: Option, arguments: Mapping[str, Any], records: Mapping[str, Any], whole: Collection[str] = ()
) -> Given | None:
    """Return what the author gave for an option: an argument, or a field of a record that is not its default.

    Of the records that `whole` names each field counts as given.
    """
    record, _, field = str(option.field).rpartition(".")
    if not record:
        return _by_author(arguments[field])
    if records[record] is None:
        return None
    value = getattr(records[record], field)
    value = value / option.factor if option.factor else value
    return None if value == option.value and record not in whole else Given(value, APP)


def _sessions(env: Callable[[], Any], asked: int | None, limits: Limits) -> Given:
    """Return the largest number of sessions.

    Raises:
        ValueError: the environment class allows one only and more were asked for.
    """
    option = BY_NAME["max_sessions"]
    alone = getattr(env, "SUPPORTS_CONCURRENT_SESSIONS", True) is False
    own = _by_author(asked) if asked is not None or alone else _own(option, {}, {"limits": limits})
    given = _settled(option, own)
    if not alone:
        return given
    if given.source == DEFAULT:
        return Given(1, APP)
    if given.value > 1:
        raise ValueError(
            f"{getattr(env, '__name__', env)} has SUPPORTS_CONCURRENT_SESSIONS = False and cannot run "
            f"{given.value} sessions; set max_concurrent_envs=1, or make it safe to have several and drop the flag"
        )
    return given


def _fields(record: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record, from the values of the options that set them."""
    found = {}
    for option in OPTIONS:
        owner, _, field = (option.field or "").rpartition(".")
        if owner == record:
            value = values[option.name]
            found[field] = int(value * option.factor) if option.factor else value
    return found


def _recording(chosen: RecordOptions | None, values: Mapping[str, Any]) -> RecordOptions | None:
    if values["record"] is None:
        return None
    fields = _fields("record", values)
    return dataclasses.replace(chosen, **fields) if chosen is not None else RecordOptions(**fields)


def _frame_ancestors(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return the Hub, which shows a Space's page in a frame, and the origins that may connect."""
    if "*" in origins:
        return ("*",)
    hub = ("https://huggingface.co", "https://*.hf.space") if os.environ.get("SPACE_ID") else ()
    return ("'self'", *hub, *(origin for origin in origins if re.fullmatch(r"[\w.:/*-]+", origin)))
