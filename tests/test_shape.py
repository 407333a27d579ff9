"""The shape of the code: imports point down, files stay small, exports exist, the client stays light."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import requirement

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for name in ("openenv_async", "openenv_sync") for path in (ROOT / name).rglob("*.py"))
MOST_LINES = 600

RANKS = [
    ("errors", "results", "limits", "environment", "composition", "tracing"),
    ("protocol", "codec"),
    ("transport",),
    ("runtime",),
    ("images", "observe", "recording"),
    ("server", "client", "providers", "hub"),
    ("validation",),
    ("checking",),
    ("compat",),
    ("cli",),
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}

# The package's own front, which lends what stands above, and the sync facade above it all.
ABOVE = ("__init__", "openenv_sync")

# What one package may see of a sibling or of a higher one, and why.
EXCEPTIONS = {
    # The vocabulary's one inner dependency: nothing but names.
    ("composition", "environment"),
}

HEAVY = (
    "starlette",
    "hypercorn",
    "aiodocker",
    "aiohttp",
    "huggingface_hub",
    "httpx",
    "numpy",
    "pydantic",
    "click",
    "yaml",
)


def home(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[1].removesuffix(".py") if parts[0] == "openenv_async" else parts[0]


def imported(path: Path) -> Iterator[str]:
    """Give the packages of ours that a file imports, at its top or inside a function; types do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for child in block.body
        for node in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in only_types:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "openenv_async" else [f"openenv_async.{a.name}" for a in node.names]
        for name in names:
            if name.startswith("openenv_async."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(path: Path) -> None:
    mine = home(path)
    if mine in ABOVE:
        return
    assert mine in RANK, "a new package needs its place in RANKS"
    for other in imported(path):
        assert other == mine or other not in RANK or RANK[other] < RANK[mine] or (mine, other) in EXCEPTIONS, other


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_stay_small(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MOST_LINES


@pytest.mark.parametrize(
    "name", ["openenv_async", "openenv_sync", "openenv_async.client", "openenv_async.server", "openenv_async.providers"]
)
def test_every_export_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert [export for export in module.__all__ if getattr(module, export, None) is None] == []


PUBLIC = {
    "openenv_async": [
        *(
            "Action",
            "AsyncEnv",
            "Environment",
            "EnvironmentMetadata",
            "Episode",
            "Limits",
            "Observation",
            "ProcessOptions",
            "State",
            "StepResult",
        ),
        *("create_app", "errors"),
    ],
    "openenv_sync": ["SyncEnv"],
}
"""What the README and the guide may name; more is a decision, less is a break."""


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_exactly_these(name: str) -> None:
    module = importlib.import_module(name)
    assert [*module.__all__] == PUBLIC[name]
    assert all(hasattr(module, public) for public in PUBLIC[name])


@requirement("light:import")
def test_importing_the_client_brings_in_nothing_else() -> None:
    code = "import sys; from openenv_async import AsyncEnv; import openenv_sync; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert sorted(loaded & set(HEAVY)) == []
    assert "openenv_async.server" not in done.stdout.split()
