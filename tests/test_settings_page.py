"""docs/settings.md lists every option of the server and of the client, as they are declared now."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

from openenv_async.cli import scaffolding
from openenv_async.client.options import option_rows
from openenv_async.limits import Limits
from openenv_async.server.options import OPTIONS, SWITCH, Option

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"

HEAD = """# Settings

Every option of a server and of a client. `python tests/test_settings_page.py --write` writes this page from the
declarations.

## Server

A setting is looked for on the command line of `openenv serve`, then in its environment variable, then in the table
`[tool.openenv]` of the `pyproject.toml` in the environment's folder, then in the arguments that the app's author gave
to `create_app`; else its default holds. `openenv serve --show-settings` prints each with its value and its source.

```toml
[tool.openenv]
max-sessions = 64
execution = "process"
record = "recordings"      # seen from this file's folder
allow-origin = ["https://example.org"]
```

Keys may be written with `-` or `_`. An unknown key is a warning, because environments written for OpenEnv have keys of
their own there; a value of the wrong type is an error. An empty variable counts as not set; several texts in
one variable are separated by commas. A secret is refused in the file, which is published with the environment.

An app that is not started by `openenv serve` (`serve_app`, uvicorn, Hypercorn) has no command line and no file: the
arguments of `create_app` count over the variables there, and only the settings with a name in the column *in Python*
apply.

In a Kubernetes pod beside a service that is called `openenv`, `OPENENV_PORT=tcp://...` is Kubernetes' and is ignored.
"""

COLUMNS = "| setting | variable | default | in Python | what it does |\n|---|---|---|---|---|\n"


def limits_help() -> dict[str, str]:
    """The docstring of each field of `Limits`, on one line."""
    (cls,) = ast.parse(inspect.getsource(Limits)).body
    assert isinstance(cls, ast.ClassDef)
    found = {}
    for field, text in zip(cls.body, cls.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def in_python(option: Option) -> str:
    record, _, field = (option.field or "").rpartition(".")
    if option.name == "max_sessions":
        return "`max_concurrent_envs=`"
    if not record:
        return f"`{field}=`" if field else ""
    owner = {"limits": "Limits", "processes": "ProcessOptions", "record": "RecordOptions"}[record]
    return f"`{owner}({field}=)`"


def row(option: Option, bounds: dict[str, str]) -> str:
    text = option.help or bounds[str(option.field).removeprefix("limits.")]
    kind = "" if option.kind is SWITCH else f" {option.kind.metavar}"
    name = f"`{option.flag}{kind}`" if option.command else f"`{option.key}`{kind}"
    variables = [f"`{name}`" for name in (option.variable, option.also) if name and option.elsewhere]
    cells = [name, ", ".join(variables), option.said(option.value), in_python(option), text]
    return line(*cells)


def line(*cells: str) -> str:
    """A row of a table; a pipe within a cell would end the cell."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def client_section() -> str:
    rows = [line(f"`{each.name}`", f"`{each.type}`", f"`{each.default!r}`", each.help) for each in option_rows()]
    head = (
        "\n## Client\n\nKeyword arguments of `AsyncEnv` and `SyncEnv`.\n\n| option | type | default | what it does |\n"
    )
    return head + "|---|---|---|---|\n" + "".join(rows)


def page() -> str:
    bounds = limits_help()
    options = "".join(row(option, bounds) for option in OPTIONS if option.command)
    limits = "".join(row(option, bounds) for option in OPTIONS if not option.command)
    text = f"{HEAD}\n### Options\n\n{COLUMNS}{options}\n### Limits\n\nNot on the command line.\n\n{COLUMNS}{limits}"
    return text + client_section()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python tests/test_settings_page.py --write`"


def test_every_limit_is_a_setting_and_says_what_it_does() -> None:
    named = {str(option.field).removeprefix("limits.") for option in OPTIONS if "limits." in str(option.field)}
    assert named == set(limits_help()) == set(Limits.__dataclass_fields__)


def test_names_are_unique_and_say_what_they_are() -> None:
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)
    for option in OPTIONS:
        assert re.fullmatch(r"OPENENV_[A-Z_]+", option.variable)
        assert option.help.endswith(".") or not option.command


def test_images_set_declared_variables() -> None:
    """The variables of ours in every Dockerfile of the template, and what `openenv push` adds, are settings."""
    from openenv_async.hub.dockerfile import SWITCH as HUB_SWITCH

    known = {name for option in OPTIONS for name in (option.variable, option.also)}
    assert HUB_SWITCH in known
    for file in ("server/Dockerfile", "base/Dockerfile"):
        text = (ROOT / "scaffold" / file).read_text(encoding="utf-8")
        text = text.replace("__IMAGE_SETTINGS__", scaffolding.image_settings())
        given = dict(re.findall(r"\b(OPENENV_[A-Z_]+)=(\S+)", text))
        assert given == {option.variable: option.image for option in OPTIONS if option.image}, file


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    PAGE.write_text(page(), encoding="utf-8")
