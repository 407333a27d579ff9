"""Every setting of `openenv serve`, whether it is set on the command line, by a variable or in `pyproject.toml`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.serve_command import edit, serving, write_env

from openenv_async import create_app
from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.serve import serve
from openenv_async.cli.serve_settings import ServeRequest, gather, settings_lines
from openenv_async.server import settings
from openenv_async.server.options import APP, COMMAND_LINE, DEFAULT, OPTIONS, SWITCH, Option

PLACES = ("command line", "variable", "file")


class Player:
    """Never played: what matters is the app made of it."""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
        if option.also:
            monkeypatch.delenv(option.also, raising=False)
    yield
    settings.override({})


def allowed(option: Option) -> list[str]:
    wanted = {"command line": option.command, "variable": option.elsewhere, "file": option.elsewhere}
    return [place for place in PLACES if wanted[place] and not (place == "file" and option.secret)]


def sample(option: Option, place: str, folder: Path) -> Any:
    """A value of the option's type, a different one for each place."""
    which = PLACES.index(place)
    if option.kind is SWITCH:
        return which != 1
    if option.kind.choices:
        return option.kind.choices[-1 - which % 2]
    if option.kind.repeatable:
        return (f"https://{which}.example",)
    if option.kind.is_path:
        return folder / f"path{which}"
    return f"text{which}" if option.kind.parse is str else option.kind.parse(f"{65 + which}")


def request_of(given: Mapping[str, Mapping[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> ServeRequest:
    """What `openenv serve` makes of values by place and option."""
    arguments: list[str] = []
    table: dict[str, Any] = {}
    by_name = {option.name: option for option in OPTIONS}
    for place, values in given.items():
        for name, value in values.items():
            option = by_name[name]
            texts = list(value) if option.kind.repeatable else [option.kind.shown(value)]
            if place == "variable":
                monkeypatch.setenv(option.variable, ",".join(texts))
            elif place == "file":
                table[option.key] = str(value) if option.kind.is_path else value
            elif option.kind is SWITCH:
                arguments.append(option.flag if value else f"--no-{option.key}")
            else:
                arguments += [f"{option.flag}={text}" for text in texts]
    lines = ["[tool.openenv]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (folder / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    return gather("my_env", folder, parsed(arguments))


def parsed(arguments: list[str]) -> dict[str, Any]:
    options = dict(serve.make_context("serve", arguments).params)
    return {name: value for name, value in options.items() if name not in ("target", "show_settings")}


def companions(option: Option, place: str, folder: Path) -> dict[str, Any]:
    """What must be set beside an option."""
    if option.name.startswith("record_") and place == "command line":
        return {"record": folder / "recordings"}
    return {"certfile": folder / "cert.pem"} if option.name == "keyfile" else {}


def effect(option: Option, request: ServeRequest) -> Any:
    """The setting as the server or the command has it."""
    if option.field is None:
        return request.value(option.name)
    settings.override(request.given)
    value: Any = create_app(Player, dict, dict, record=None).server.settings
    if option.name.startswith("record_") and value.record is None:
        return value.given[option.name].value
    for part in option.field.split("."):
        value = getattr(value, part)
    return value / option.factor if option.factor else value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_each_place_sets_the_same_setting(
    option: Option, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place not in allowed(option):
        return
    value = sample(option, place, tmp_path)
    request = request_of({place: {option.name: value, **companions(option, place, tmp_path)}}, tmp_path, monkeypatch)
    assert effect(option, request) == value
    sources = {"command line": COMMAND_LINE, "variable": option.variable, "file": str(tmp_path / "pyproject.toml")}
    assert request.given[option.name].source == sources[place]


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(PLACES, 2)])
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_the_command_line_counts_over_the_variable_and_that_over_the_file(
    option: Option, first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not {first, second} <= set(allowed(option)):
        return
    given = {
        place: {option.name: sample(option, place, tmp_path), **companions(option, place, tmp_path)}
        for place in (first, second)
    }
    if option.kind is SWITCH:
        given[second][option.name] = not given[first][option.name]
    request = request_of(given, tmp_path, monkeypatch)
    if option.adds_up:
        assert set(effect(option, request)) == {*given[first][option.name], *given[second][option.name]}
    else:
        assert effect(option, request) == given[first][option.name]


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.for_app], ids=lambda option: option.key)
def test_the_file_counts_over_the_app_and_that_over_the_default(
    option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_app(Player, dict, dict, token="own", metrics=False, execution="inline").server.settings.given
    known = {"token": "own", "metrics": False, "execution": "inline"}
    assert made[option.name].source == (APP if option.name in known else DEFAULT)
    assert made[option.name].value == known.get(option.name, option.value)
    if "file" in allowed(option):
        request = request_of({"file": {option.name: sample(option, "file", tmp_path)}}, tmp_path, monkeypatch)
        settings.override(request.given)
        app = create_app(Player, dict, dict, token="own", metrics=False, execution="inline")
        assert app.server.settings.given[option.name].value == sample(option, "file", tmp_path)


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS if o.command and not o.secret and o.name != "reload"], ids=lambda option: option.key
)
def test_reload_passes_every_option_on(option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (True, False) if option.kind is SWITCH else (sample(option, "command line", tmp_path),):
        given = {option.name: value, **companions(option, "command line", tmp_path)}
        request = request_of({"command line": {**given, "reload": True}}, tmp_path, monkeypatch)
        again = gather("my_env", tmp_path, parsed([*request.arguments, "--supervised=3:4:0"]))
        assert again.command == given
        assert again.given == {name: each for name, each in request.given.items() if name != "reload"}


def test_reload_keeps_the_token_out_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_of({"command line": {"token": "s3cret", "reload": True}}, tmp_path, monkeypatch)
    assert request.arguments == []
    assert "s3cret" not in repr(request)


def test_reload_waits_less_for_calls_unless_a_time_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert request_of({"command line": {"reload": True}}, tmp_path, monkeypatch).value("grace") == 2.0
    given: Mapping[str, Mapping[str, Any]] = {"command line": {"reload": True}, "file": {"grace": 7}}
    assert request_of(given, tmp_path, monkeypatch).value("grace") == 7


def test_an_unknown_key_is_a_warning_with_the_nearest_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[tool.openenv]\nmax_sesions = 3\nentry_point = "app:app"\n[tool.openenv.metadata]\nauthor = "x"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert gather("my_env", tmp_path, parsed([])).given == {}
    error = capsys.readouterr().err
    assert f"Warning: {tmp_path}/pyproject.toml: max_sesions in [tool.openenv] is not a setting" in error
    assert "the nearest is max-sessions\n" in error
    assert "entry_point in [tool.openenv] is not a setting" in error
    assert "metadata in [tool.openenv] is not a setting" in error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('max-sessions = "3"', "max-sessions in [tool.openenv] must be a whole number, 1 or more, not '3'"),
        ("max_sessions = 0", "max_sessions in [tool.openenv] must be a whole number, 1 or more, not 0"),
        ("port = true", "port in [tool.openenv] must be a whole number from 0 to 65535, not True"),
        ('execution = "fast"', "execution in [tool.openenv] must be one of inline, thread, process, not 'fast'"),
        ("step-timeout = nan", "step-timeout in [tool.openenv] must be a number of seconds above 0, not nan"),
        ('debug = "yes"', "debug in [tool.openenv] must be true or false"),
        ("record = 3", "record in [tool.openenv] must be a path, not 3"),
        ('allow-origin = "https://a"', "allow-origin in [tool.openenv] must be a list of texts, not 'https://a'"),
        ('token = "x"', "token in [tool.openenv] is a secret"),
        ("reload = true", "reload in [tool.openenv] is an option of the command line alone: --reload"),
        ("max-sessions = 1\nmax_sessions = 2", "max_sessions in [tool.openenv] is set twice, with - and with _"),
        ("a = [", "cannot be read: "),
    ],
)
def test_a_key_with_a_value_that_it_does_not_take(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.openenv]\n{line}\n", encoding="utf-8")
    with pytest.raises(CommandFailed) as failed:
        gather("my_env", tmp_path, parsed([]))
    assert message in str(failed.value)
    assert str(failed.value).startswith(f"{tmp_path}/pyproject.toml")


def test_a_table_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nopenenv = 3\n", encoding="utf-8")
    with pytest.raises(CommandFailed, match=r"\[tool.openenv\] must be a table, not 3"):
        gather("my_env", tmp_path, parsed([]))


def test_a_wrong_variable_is_named_unless_the_command_line_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENENV_EXECUTION", "fast")
    with pytest.raises(BadInput, match="the variable OPENENV_EXECUTION must be one of inline, thread, process"):
        gather("my_env", tmp_path, parsed([]))
    assert gather("my_env", tmp_path, parsed(["--execution=inline"])).value("execution") == "inline"


def test_what_kubernetes_sets_for_a_service_of_that_name_is_not_a_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENENV_PORT", "tcp://10.0.0.1:8000")
    assert gather("my_env", tmp_path, parsed([])).given == {}


def test_the_address_of_the_place_that_counts_most_is_the_whole_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: Mapping[str, Mapping[str, Any]]
    given = {"command line": {"unix": tmp_path / "s"}, "variable": {"host": "0.0.0.0", "port": 1}}
    assert set(request_of(given, tmp_path, monkeypatch).given) == {"unix"}
    given = {"variable": {"port": 1}, "file": {"unix": tmp_path / "s", "debug": True}}
    assert set(request_of(given, tmp_path, monkeypatch).given) == {"host", "port", "debug"}
    with pytest.raises(BadInput, match="--unix goes without --host and --port"):
        request_of({"file": {"unix": tmp_path / "s", "port": 1}}, tmp_path, monkeypatch)


def test_a_path_in_the_file_is_seen_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.openenv]\nrecord = "kept"\n', encoding="utf-8")
    assert gather("my_env", tmp_path, parsed([])).value("record") == tmp_path / "kept"


def test_show_settings_prints_each_with_its_source(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    (folder / "pyproject.toml").write_text("[tool.openenv]\nmax-sessions = 5\nresume_window = 1.5\n", encoding="utf-8")
    edit(folder / "openenv.yaml", "8000", "8123")
    edit(folder / "server" / "app.py", 'env_name="echo"', 'env_name="echo", execution="inline", metrics=False')
    variables = {"OPENENV_TOKEN": "s3cret", "ENABLE_WEB_INTERFACE": "true"}
    with serving("my_env", "--show-settings", "--grace=3", cwd=tmp_path, variables=variables) as server:
        code, text = server.end()
    assert code == 0, text
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in text.splitlines()}
    assert set(rows) == {option.key for option in OPTIONS}
    assert rows["grace"] == ["3", "command line"]
    assert rows["token"] == ["***", "variable OPENENV_TOKEN"]
    assert rows["interface"] == ["true", "variable ENABLE_WEB_INTERFACE"]
    assert rows["max-sessions"] == ["5", "my_env/pyproject.toml"]
    assert rows["resume-window"] == ["1.5", "my_env/pyproject.toml"]
    assert rows["port"] == ["8123", "openenv.yaml"]
    assert rows["execution"] == ["inline", "the app"]
    assert rows["metrics"] == ["false", "the app"]
    assert rows["host"] == ["127.0.0.1", "default"]


def test_a_secret_is_masked_whatever_the_lines_are_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_of({"command line": {"token": "s3cret"}}, tmp_path, monkeypatch)
    assert "s3cret" not in "\n".join(settings_lines(request.given))


def test_a_change_of_the_file_takes_effect_under_reload(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    (folder / "pyproject.toml").write_text("[tool.openenv]\ninterface = false\n", encoding="utf-8")
    with serving("my_env", "--reload", "--port=0", cwd=tmp_path) as server:
        server.url()
        edit(folder / "pyproject.toml", "false", "false\nrecord = 'kept'")
        server.until(r"Changed: my_env/pyproject\.toml\. Restarting\.")
        server.until("Serving the changed my_env")
        assert (folder / "kept").is_dir()
