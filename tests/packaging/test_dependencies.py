"""pyproject.toml declares every distribution that the code imports, each with a lower bound."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("openenv_async", "openenv_sync")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

DISTRIBUTIONS = {"yaml": "pyyaml"}
"""Import name: distribution, where a distribution's name is not that of its package."""

OTHERS_CODE = {"gradio", "sitecustomize", "smolagents", "torch"}
"""Used only where an author's environment or the site has installed them; error texts name the package to install."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in requirements}  # type: ignore[index]


BASE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
TOOLS = {"bench", "dev", "docs", "fuzz"}
"""Extras for those who work on the project; the package's code may not need them."""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
    return {name.partition(".")[0] for name in found} - {"", *sys.stdlib_module_names, *PACKAGES}


def imported() -> dict[str, set[str]]:
    """Every distribution that is imported, with the modules that import it."""
    found: dict[str, set[str]] = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for name in imports(path) - OTHERS_CODE:
            found.setdefault(distribution(name), set()).add(path.relative_to(ROOT).as_posix())
    return found


def distribution(name: str) -> str:
    if name == "opentelemetry":
        return "opentelemetry-sdk"  # a namespace: each of its distributions is in the extra `otel`
    return normal(DISTRIBUTIONS.get(name, name))


def test_everything_imported_is_declared() -> None:
    declared = BASE.union(*(found for extra, found in EXTRAS.items() if extra not in TOOLS))
    missing = {name: sorted(where) for name, where in imported().items() if name not in declared}
    assert missing == {}, f"imported, and not in pyproject.toml: {missing}"


def test_everything_declared_is_imported() -> None:
    """But for what is run and not imported: uvicorn in authors' code, and OpenTelemetry's parts."""
    declared = BASE.union(*(found for extra, found in EXTRAS.items() if extra not in TOOLS))
    indirect = {"openenv-async", "uvicorn", "opentelemetry-api", "opentelemetry-exporter-otlp-proto-http"}
    assert declared - indirect - set(imported()) == set()


def test_modules_that_anyone_may_import_need_the_base_install_only() -> None:
    """Modules of the package whose top-level imports need an extra are those that the extra is for."""
    optional = set().union(*EXTRAS.values()) - BASE
    needing = {
        path.relative_to(ROOT).as_posix(): sorted(found)
        for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
        if (found := {distribution(name) for name in top_level(path)} & optional)
    }
    for_extras = ("/compat/", "/observe/exposition.py", "/observe/spans.py", "/cli/top_screen.py", "/server/gym")
    assert {path: found for path, found in needing.items() if not any(part in path for part in for_extras)} == {}


def top_level(path: Path) -> set[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in found if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, *PACKAGES}


def test_every_dependency_has_a_lower_bound() -> None:
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    assert [line for line in lines if ">=" not in line and not line.startswith("openenv-async[")] == []


def test_hypercorn_has_an_upper_bound() -> None:
    (line,) = [line for line in PROJECT["dependencies"] if line.startswith("hypercorn")]
    assert "<" in line, "the server uses what Hypercorn does not promise; see tests/server/test_hypercorn_surface.py"
