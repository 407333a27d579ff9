"""Settings of `openenv serve` from command line, environment and `pyproject.toml`, in that order.

Makes click's options, the reading of `[tool.openenv]`, the command line for `--reload` and the list of
`--show-settings` from the one declaration in `server.options`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.manifest import shown
from openenv_async.server.options import (
    BY_NAME,
    COMMAND_LINE,
    DEFAULT,
    OPTIONS,
    SWITCH,
    Given,
    Option,
    WrongValue,
    combined,
    from_environment,
    wrong_value,
)

F = TypeVar("F", bound=Callable[..., Any])

FILE_NAME = "pyproject.toml"

RELOAD_GRACE_S = 2.0
"""Seconds for calls in flight under --reload when no grace is set: the user waits for the change to take effect."""

_BY_KEY = {option.key: option for option in OPTIONS}
_ADDRESS = ("host", "port", "unix")


class _Type(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """Click type of one option; reads its text as its variable is read."""

    def __init__(self, option: Option) -> None:
        self.name = option.kind.metavar
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._option.kind.read(value)
        except ValueError:
            self.fail(f"it must be {self._option.kind.wanted}, not {value!r}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if self._option.kind.is_path:
            return [CompletionItem(incomplete, type="dir" if self.name == "DIR" else "file")]
        return [CompletionItem(word) for word in self._option.kind.choices if word.startswith(incomplete)]


def serve_options(command: F) -> F:
    """Add every option of the declaration that the command line has to a command."""
    for option in reversed(OPTIONS):
        if option.command:
            command = _click_option(option)(command)
    return command


def _click_option(option: Option) -> Callable[[F], F]:
    notes = []
    if option.elsewhere:
        notes.append(f"env var: {option.variable}" + (f", {option.also}" if option.also else ""))
    own = ["the app's own"] if option.field is not None and option.kind is not SWITCH else []
    other = [option.said(option.value)] if option.value or option.default else []
    if own or other:
        notes.append(f"default: {', else '.join(own + other)}")
    text = option.help + (f"  [{'; '.join(notes)}]" if notes else "")
    if option.kind is SWITCH:
        name = f"{option.flag}/--no-{option.key}" if option.elsewhere else option.flag
        return click.option(name, option.name, is_flag=True, default=None, help=text)
    if option.kind.repeatable:
        return click.option(option.flag, option.name, multiple=True, metavar=option.kind.metavar, help=text)
    return click.option(option.flag, option.name, type=_Type(option), metavar=option.kind.metavar, help=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeRequest:
    """The settings of one `openenv serve`."""

    target: str
    supervised: str | None
    """Set by `--reload` for the process that it restarts."""
    command: Mapping[str, Any] = field(repr=False)
    """The options of the command line alone."""
    given: Mapping[str, Given]
    """Every option that is set anywhere, with its source."""

    def asked(self, name: str) -> Any:
        """Return the value that an option was given; None if it was not set."""
        given = self.given.get(name)
        return None if given is None else given.value

    def value(self, name: str) -> Any:
        """Return the value of an option, by default its declared one."""
        given = self.given.get(name)
        return BY_NAME[name].value if given is None else given.value

    def source(self, name: str) -> str:
        """Return where an option is set: its flag, its variable, or key and file."""
        given = self.given[name]
        if given.source == COMMAND_LINE:
            return BY_NAME[name].flag
        return given.source if given.source.isidentifier() else f"{BY_NAME[name].key} of {given.source}"

    @property
    def for_create_app(self) -> list[str]:
        """Return the settings given that only an app of `create_app` uses."""
        return [
            self.source(name)
            for name, given in self.given.items()
            if BY_NAME[name].for_app and given.value is not False and not name.startswith("record_")
        ]

    @property
    def arguments(self) -> list[str]:
        """Return the options of the command line again, for the process that `--reload` restarts.

        That process reads variables and the file itself. The token is passed in its variable, which other users cannot
        read.
        """
        found: list[str] = []
        for name, value in self.command.items():
            option = BY_NAME[name]
            if option.kind is SWITCH:
                found += [option.flag if value else f"--no-{option.key}"] if option.elsewhere else []
            elif not option.secret:
                values = value if option.kind.repeatable else [option.kind.shown(value)]
                found += [f"{option.flag}={each}" for each in values]
        return found


def gather(target: str, folder: Path | None, options: Mapping[str, Any]) -> ServeRequest:
    """Combine the settings of `openenv serve`.

    Args:
        target: the target to serve, as the user named it.
        folder: the environment's folder, whose `pyproject.toml` is read; None: it has none.
        options: click's options.

    Raises:
        BadInput: an environment variable cannot be used, or settings contradict each other.
        CommandFailed: `pyproject.toml` cannot be used.
    """
    supervised = options["supervised"]
    command = {name: value for name, value in options.items() if name in BY_NAME and value not in (None, ())}
    # Under --reload only the process that serves warns, so that it is said once.
    table = read_table(folder, warn=not command.get("reload"))
    layers: list[dict[str, Given]] = [{name: Given(value, COMMAND_LINE) for name, value in command.items()}, {}, table]
    try:
        for option in OPTIONS:
            # An invalid variable that the command line overrides is not an error.
            if option.name not in command or option.adds_up:
                variable = from_environment(option, os.environ)
                layers[1] |= {option.name: variable} if variable is not None else {}
    except WrongValue as error:
        raise BadInput(str(error)) from error
    _one_address(layers)
    given = {}
    for option in OPTIONS:
        value = combined(option, *(layer.get(option.name) for layer in layers))
        if value is not None:
            given[option.name] = value
    if (command.get("reload") or supervised) and "grace" not in given:
        given["grace"] = Given(RELOAD_GRACE_S, "--reload")
    request = ServeRequest(target=target, supervised=supervised, command=command, given=given)
    _check(request)
    return request


def _one_address(layers: list[dict[str, Given]]) -> None:
    """Keep the address from the source that counts most: a unix socket, or host and port.

    Raises:
        BadInput: one source sets both.
    """
    settled: str | None = None
    for layer in layers:
        tcp = "host" in layer or "port" in layer
        if tcp and "unix" in layer:
            raise BadInput("--unix goes without --host and --port: it is an address of its own")
        if tcp or "unix" in layer:
            settled = settled or ("tcp" if tcp else "unix")
            for name in _ADDRESS:
                if (name == "unix") is (settled == "tcp"):
                    layer.pop(name, None)


def _check(request: ServeRequest) -> None:
    """Refuse settings that contradict each other.

    Raises:
        BadInput: two of them do; the text names them.
    """
    asked = request.asked
    token = asked("token")
    if token is not None and not token.strip():
        raise BadInput("--token is empty: give the secret that clients must present, or leave the option out")
    if asked("keyfile") is not None and asked("certfile") is None:
        raise BadInput("--keyfile needs --certfile: the certificate that the key belongs to")
    if asked("unix") is not None and asked("certfile") is not None:
        raise BadInput("--certfile is for --host and --port: what goes through a unix socket stays on this machine")
    for name in ("record_redact", "record_file_mb", "record_total_mb"):
        # A variable or the file may prepare what one start of many uses.
        if name in request.command and asked("record") is None:
            raise BadInput(f"{BY_NAME[name].flag} needs --record: the folder that sessions are recorded in")
    if request.value("reload") and os.name != "posix":
        raise BadInput("--reload needs a POSIX system: run without it and restart by hand")
    if asked("otel"):
        from openenv_async.tracing import INSTALL, installed

        if not installed():
            raise BadInput(f"{request.source('otel')}: {INSTALL}")


def read_table(folder: Path | None, *, warn: bool = True) -> dict[str, Given]:
    """Read `[tool.openenv]` of a folder's `pyproject.toml`.

    Environments written for others have keys of their own there, so an unknown one is a warning.

    Raises:
        CommandFailed: the file is not TOML, or a setting has an invalid value.
    """
    if folder is None:
        return {}
    file = folder / FILE_NAME
    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise CommandFailed(f"{shown(file)} cannot be read: {error}") from error
    table = tool.get("openenv", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise CommandFailed(f"{shown(file)}: [tool.openenv] must be a table, not {table!r}")
    found: dict[str, Given] = {}
    for key, value in table.items():
        where = f"{shown(file)}: {key} in [tool.openenv]"
        option = _BY_KEY.get(key.replace("_", "-"))
        if option is None:
            if warn:
                near = difflib.get_close_matches(key.replace("_", "-"), _BY_KEY, n=1, cutoff=0.0)
                click.echo(f"Warning: {where} is not a setting; the nearest is {near[0]}", err=True)
            continue
        if option.name in found:
            raise CommandFailed(f"{where} is set twice, with - and with _")
        found[option.name] = Given(_from_table(option, where, value, folder), shown(file))
    return found


def _from_table(option: Option, where: str, value: Any, folder: Path) -> Any:
    if not option.elsewhere:
        raise CommandFailed(f"{where} is an option of the command line alone: {option.flag}")
    if option.secret:
        raise CommandFailed(
            f"{where} is a secret, and this file goes where the environment goes: set the variable {option.variable}"
        )
    try:
        read = option.kind.check(value)
    except ValueError:
        raise CommandFailed(str(wrong_value(option, where, value))) from None
    return folder / read if option.kind.is_path else read


def settings_lines(given: Mapping[str, Given]) -> list[str]:
    """Return a line for each setting: its name, its value, and where it comes from. Secrets are masked."""
    rows = []
    for option in OPTIONS:
        each = given.get(option.name) or Given(option.value, DEFAULT)
        source = f"variable {each.source}" if each.source in (option.variable, option.also) else each.source
        rows.append((option.key, option.said(each.value), source))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{key:<{widths[0]}}  {value:<{widths[1]}}  {source}" for key, value, source in rows]
