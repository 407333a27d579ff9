"""Declaration of a server's options: name, type, default, environment variable, help and what each sets.

`openenv serve` makes its command line, the reading of `OPENENV_*` and of `[tool.openenv]`, and the command of
`--reload` from it; `server.settings` reads the environment by it; `docs/settings.md` is written from it. Bounds in
`Limits` without an option of their own become options here. To add an option, add it to `_DECLARED`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openenv_async.limits import Limits, least
from openenv_async.recording.options import MIB, RecordOptions
from openenv_async.runtime.processes.options import ProcessOptions

_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptionType:
    """A type of option values."""

    wanted: str
    """What a value must be, for errors."""

    metavar: str
    """What stands for a value in the help."""

    accepts: Callable[[Any], bool]
    """Returns whether a typed value, as TOML has it, is of this type."""

    parse: Callable[[str], Any] = str
    """Converts the text of a command line or a variable to a typed value; raises ValueError."""

    made: Callable[[Any], Any] = lambda value: value
    """Converts an accepted value to the option's value."""

    shown: Callable[[Any], str] = str
    """Converts a value to text, as a user writes it."""

    choices: tuple[str, ...] = ()
    is_path: bool = False
    """A relative path in `pyproject.toml` starts at that file's folder."""

    repeatable: bool = False

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ValueError: it is not of this type; `wanted` says what would be.
        """
        return self.check(self.parse(text))

    def check(self, value: Any) -> Any:
        """Return the option's value for a typed value.

        Raises:
            ValueError: it is not of this type; `wanted` says what would be.
        """
        if not self.accepts(value):
            raise ValueError(self.wanted)
        return self.made(value)


_UNITS = {"SECONDS": " of seconds", "MB": " of MiB", "BYTES": " of bytes"}


def number(
    metavar: str, *, least: float = 0, above: bool = False, most: float = math.inf, whole: bool = False
) -> OptionType:
    """Return a type of numbers; `above` refuses the least value itself."""
    what = ("a whole number" if whole else "a number") + _UNITS.get(metavar, "")
    if most < math.inf:
        wanted = f"{what} from {least:g} to {most:g}"
    else:
        wanted = f"{what} above {least:g}" if above else f"{what}, {least:g} or more"

    def accepts(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return False
        return least <= value <= most and value < math.inf and not (above and value == least)

    return OptionType(
        wanted=wanted,
        metavar=metavar,
        accepts=accepts,
        parse=int if whole else float,
        shown=lambda value: str(value).removesuffix(".0"),
    )


def choice(*words: str) -> OptionType:
    """Return a type of values that are one of a few words."""
    metavar = f"[{'|'.join(words)}]"
    return OptionType(wanted=f"one of {', '.join(words)}", metavar=metavar, accepts=words.__contains__, choices=words)


def text(metavar: str = "TEXT") -> OptionType:
    """Return a type of any text."""
    return OptionType(wanted="a text", metavar=metavar, accepts=lambda value: isinstance(value, str))


def texts(metavar: str) -> OptionType:
    """Return a type of several texts: a repeated option, a TOML list, or one variable with commas between them."""
    return OptionType(
        wanted="a list of texts",
        metavar=metavar,
        accepts=lambda value: isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value),
        parse=lambda line: list(filter(None, (part.strip() for part in line.split(",")))),
        made=tuple,
        shown=", ".join,
        repeatable=True,
    )


def path(metavar: str = "PATH") -> OptionType:
    """Return a type of paths of files or folders."""
    return OptionType(
        wanted="a path",
        metavar=metavar,
        accepts=lambda value: isinstance(value, str) and value != "",
        made=Path,
        is_path=True,
    )


def _yes_or_no(word: str) -> bool:
    word = word.strip().lower()
    if word not in (*_ON, *_OFF):
        raise ValueError(word)
    return word in _ON


SWITCH = OptionType(
    wanted="true or false (in a variable also 1 or 0, yes or no, on or off)",
    metavar="BOOLEAN",
    accepts=lambda value: isinstance(value, bool),
    parse=_yes_or_no,
    shown=lambda value: "true" if value else "false",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a server."""

    name: str
    """As a Python name: `step_timeout`."""

    kind: OptionType

    help: str = ""
    """What it does. Empty for a bound of `Limits`, whose docstring says it."""

    default: str = ""
    """The default in words, if `value` does not say it."""

    value: Any = None
    """The default, if it is known before the app is loaded."""

    field: str | None = None
    """What it sets: an argument of `create_app`, or a field of `limits`, `processes` or `record` after a dot."""

    factor: int | None = None
    """What a value is multiplied by for the field: 1 MiB."""

    also: str | None = None
    """OpenEnv's environment variable for it, read if `variable` is not set; what it does not call true is false."""

    command: bool = True
    """It may be set on the command line."""

    elsewhere: bool = True
    """It may be set by a variable and in `pyproject.toml`."""

    secret: bool = False
    """Never shown, and refused in `pyproject.toml`, which is published with the environment."""

    any_app: bool = False
    """It applies to every ASGI app, not only to one of `create_app`."""

    adds_up: bool = False
    """Values from several sources add up; otherwise only those of the first source count."""

    image: str | None = None
    """The value that the image of an environment sets."""

    @property
    def key(self) -> str:
        """The name in `[tool.openenv]`."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return f"OPENENV_{self.name.upper()}"

    @property
    def for_app(self) -> bool:
        """Return whether only an app of `create_app` uses it."""
        return self.field is not None and not self.any_app

    def said(self, value: Any) -> str:
        """Return a value for people to read; a secret is masked."""
        if value is None:
            return self.default or "none"
        return "***" if self.secret else self.kind.shown(value) or "none"


COMMAND_LINE = "command line"
APP = "the app"
DEFAULT = "default"
_DEFAULTS: dict[str, Any] = {"limits": Limits(), "processes": ProcessOptions(), "record": RecordOptions(folder=Path())}
"""The records that options set fields of."""

_DECLARED = (
    Option(
        name="host",
        kind=text("HOST"),
        value="127.0.0.1",
        image="0.0.0.0",
        any_app=True,
        help="Name or address to listen on; 0.0.0.0 lets other machines in.",
    ),
    Option(
        name="port",
        kind=number("PORT", least=0, most=65535, whole=True),
        default="the manifest's, else 8000",
        image="8000",
        any_app=True,
        help="Port to listen on; 0 picks a free one.",
    ),
    Option(name="unix", kind=path(), any_app=True, help="Listen on a unix socket instead."),
    Option(
        name="reload",
        kind=SWITCH,
        value=False,
        elsewhere=False,
        any_app=True,
        help="Restart when a file of the environment changes.",
    ),
    Option(
        name="max_sessions",
        kind=number("N", least=1, whole=True),
        field="limits.max_sessions",
        help="Environments alive at once.",
    ),
    Option(
        name="execution",
        kind=choice("inline", "thread", "process"),
        field="execution",
        default="the environment's own",
        help="Where a session's code runs: on the event loop, in a thread or a process of its own.",
    ),
    Option(
        name="step_timeout",
        kind=number("SECONDS", above=True),
        field="limits.step_timeout_s",
        help="Time for a reset or step where neither the call nor the environment's class says.",
    ),
    Option(
        name="sessions_per_process",
        kind=number("N", least=1, whole=True),
        field="processes.sessions_per_process",
        help="With --execution process: sessions that share one.",
    ),
    Option(
        name="spare_processes",
        kind=number("N", whole=True),
        field="processes.spare_processes",
        help="With --execution process: processes kept ready.",
    ),
    Option(
        name="token",
        kind=text(),
        field="token",
        secret=True,
        help="Clients must present it. The variable keeps it out of the list of processes.",
    ),
    Option(
        name="allow_origin",
        kind=texts("ORIGIN"),
        field="allow_origins",
        help="A web origin whose pages may connect. Repeatable.",
    ),
    Option(
        name="certfile",
        kind=path(),
        any_app=True,
        help="Serve TLS (https, wss) with this certificate chain: PEM, the key in it or in --keyfile.",
    ),
    Option(name="keyfile", kind=path(), any_app=True, help="The certificate's private key: PEM, without a password."),
    Option(
        name="log_level",
        kind=choice("debug", "info", "warning", "error"),
        default="info, as text without the lines of sessions where all is well",
        any_app=True,
        help="What is written to stderr; debug adds a line for every request.",
    ),
    Option(
        name="log_format",
        kind=choice("text", "json"),
        value="text",
        any_app=True,
        help="How lines are written to stderr: for people, or one JSON object each.",
    ),
    Option(
        name="metrics",
        kind=SWITCH,
        field="metrics",
        default="true where prometheus-client is installed",
        help="Count for /metrics.",
    ),
    Option(
        name="otel",
        kind=SWITCH,
        field="otel",
        default="true where OTEL_EXPORTER_OTLP_ENDPOINT is set",
        help="Send OpenTelemetry spans.",
    ),
    Option(
        name="record",
        kind=path("DIR"),
        field="record.folder",
        help="Write every session into a file there, for `openenv replay`.",
    ),
    Option(
        name="record_redact",
        kind=texts("FIELD"),
        field="record.redact",
        adds_up=True,
        help="With --record: a field whose values are left out, `password` or `request.user.name`. Repeatable; the "
        "fields named in several places add up.",
    ),
    Option(
        name="record_file_mb",
        kind=number("MB", above=True),
        field="record.max_file_bytes",
        factor=MIB,
        help="With --record: size of a file.",
    ),
    Option(
        name="record_total_mb",
        kind=number("MB", above=True),
        field="record.max_total_bytes",
        factor=MIB,
        help="With --record: size of all files there; beyond it the oldest are removed.",
    ),
    Option(
        name="interface",
        kind=SWITCH,
        value=False,
        field="interface",
        also="ENABLE_WEB_INTERFACE",
        help="A web page at /web, to play by hand.",
    ),
    Option(
        name="debug", kind=SWITCH, value=False, field="debug", any_app=True, help="Show tracebacks, to clients too."
    ),
    Option(
        name="grace",
        kind=number("SECONDS"),
        field="limits.grace_s",
        any_app=True,
        help="Time for calls in flight when the server stops, on SIGTERM for episodes too.",
    ),
    Option(
        name="compat",
        kind=choice("auto", "force", "off"),
        value="auto",
        any_app=True,
        help="Environments that import `openenv`: answer it where the original is not installed, always, or never.",
    ),
)


def _default(field: str | None, factor: int | None) -> Any:
    """Return the default of a field of `limits`, `processes` or `record`, in the option's unit."""
    record, _, name = (field or "").rpartition(".")
    if not record or field == "record.folder":
        return None
    value = getattr(_DEFAULTS[record], name)
    return value / factor if factor is not None else value


def _bounds() -> tuple[Option, ...]:
    """Return options for the bounds of `Limits` that no option above sets."""
    named = {option.field for option in _DECLARED}
    found = []
    for field in dataclasses.fields(Limits):
        if f"limits.{field.name}" in named:
            continue
        seconds = field.name.endswith("_s") and not field.name.endswith("_per_s")
        unit = "SECONDS" if seconds else "BYTES" if field.name.endswith("_bytes") else "N"
        found.append(
            Option(
                name=field.name.removesuffix("_s") if seconds else field.name,
                kind=number(unit, least=least(field.name), whole="float" not in str(field.type)),
                field=f"limits.{field.name}",
                command=False,
            )
        )
    return tuple(found)


OPTIONS = tuple(
    dataclasses.replace(option, value=_default(option.field, option.factor) if option.value is None else option.value)
    for option in (*_DECLARED, *_bounds())
)
BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True)
class Given:
    """A value of an option, and where it was set."""

    value: Any = dataclasses.field(repr=False)
    source: str


class WrongValue(ValueError):
    """A variable or a key of a file has a value that its option does not take."""


def wrong_value(option: Option, where: str, value: object) -> WrongValue:
    """Return the error for a value that an option does not take. A secret is not repeated."""
    seen = "" if option.secret else f", not {value!r}"
    return WrongValue(f"{where} must be {option.kind.wanted}{seen}")


def from_environment(option: Option, environ: Mapping[str, str]) -> Given | None:
    """Read an option's environment variable; None: it is not set, or empty.

    Raises:
        WrongValue: the variable has a value that the option does not take.
    """
    text = environ.get(option.variable, "") if option.elsewhere else ""
    # Kubernetes sets OPENENV_PORT=tcp://10.0.0.1:8000 in every pod beside a service that is called `openenv`.
    if text and not (option.name == "port" and text.startswith("tcp://")):
        try:
            return Given(option.kind.read(text), option.variable)
        except ValueError:
            raise wrong_value(option, f"the variable {option.variable}", text) from None
    if option.also is not None and environ.get(option.also):
        return Given(environ[option.also].strip().lower() in _ON, option.also)
    return None


def combined(option: Option, *places: Given | None) -> Given | None:
    """Return the value that results from several sources, the one that counts most first."""
    found = [place for place in places if place is not None]
    if not option.adds_up or len(found) < 2:
        return found[0] if found else None
    values = dict.fromkeys(each for place in reversed(found) for each in place.value)
    return Given(tuple(values), ", ".join(place.source for place in found))
