"""The shape of the code: imports point down and never in a circle, a class lives in one file, exports exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from requirements import requirement

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for name in ("openenv_async", "openenv_sync") for path in (ROOT / name).rglob("*.py"))
MOST_LINES = 600

RANKS = [
    ("errors", "results", "limits", "environment", "tracing"),
    ("protocol", "codec"),
    ("transport",),
    ("runtime",),
    ("images", "observe", "recording"),
    ("server", "client", "providers", "hub"),
    ("conformance",),
    ("compat",),
    ("cli",),
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}

# The package's own front, which lends what stands above, and the sync facade above it all.
ABOVE = ("__init__", "openenv_sync")

# What one package may see of a sibling or of a higher one, and why.
EXCEPTIONS = {
    # Inside functions: `AsyncEnv(MyEnvironment)` serves the class in process, and `from_docker_image` and `from_hub`
    # start a server. Importing the client loads neither.
    ("client", "server"),
    ("client", "providers"),
}

RUN_AS_PROGRAMS = ("__main__.py", "sitecustomize.py", "supervisor.py", "openenv_core.py")
"""Files that act when they are imported."""

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


def package_of(path: Path) -> str:
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
    mine = package_of(path)
    if mine in ABOVE:
        return
    assert mine in RANK, "a new package needs its place in RANKS"
    for other in imported(path):
        assert other == mine or other not in RANK or RANK[other] < RANK[mine] or (mine, other) in EXCEPTIONS, other


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_one_idea(path: Path) -> None:
    """Beyond 600 lines one looks for a second idea; this test is the reminder."""
    assert path.read_text(encoding="utf-8").count("\n") <= MOST_LINES


def module_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix().removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def imported_modules(path: Path, modules: Collection[str]) -> set[str]:
    """Every module of ours that a file imports: at its top, inside functions and for types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.update([inner] if inner in modules else [node.module] if node.module in modules else [])
    return found - {module_name(path)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other, each sorted."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for other in graph[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    reach = {module: reached(module) for module in graph}
    groups = {tuple(sorted({module} | {o for o in reach[module] if module in reach[o]})) for module in graph}
    return sorted(list(group) for group in groups if len(group) > 1)


def test_no_imports_in_a_circle() -> None:
    modules = {module_name(path): path for path in SOURCES}
    # The package's front lends names of every layer, each when it is asked for.
    fronts = {name for name in modules if modules[name].name == "__init__.py"}
    graph = {name: imported_modules(path, modules) - fronts for name, path in modules.items() if name not in fronts}
    assert circles(graph) == []


def classes() -> dict[str, list[tuple[Path, ast.ClassDef]]]:
    found: dict[str, list[tuple[Path, ast.ClassDef]]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append((path, node))
    return found


def base_names(node: ast.ClassDef) -> set[str]:
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return {
        base.id if isinstance(base, ast.Name) else base.attr
        for base in bases
        if isinstance(base, (ast.Name, ast.Attribute))
    }


def is_contract(node: ast.ClassDef) -> bool:
    """A Protocol, an abstract class, or a class whose docstring invites subclasses."""
    text = ast.get_docstring(node) or ""
    return bool(base_names(node) & {"Protocol", "ABC", "Exception", "Struct"}) or "subclass" in text.lower()


SPLIT: set[str] = set()
"""Classes that are one base and one subclass in two files, each with its reason. None today."""


def test_no_class_is_split_over_files() -> None:
    """A base that one class alone inherits from, in another file, is the rest of that class."""
    known = classes()
    split = set()
    for name, places in known.items():
        heirs = [(path, node) for rows in known.values() for path, node in rows if name in base_names(node)]
        home, node = places[0]
        alone = len(places) == 1 and len(heirs) == 1 and heirs[0][0] != home
        if alone and package_of(heirs[0][0]) == package_of(home) and not is_contract(node):
            split.add(f"{name} of {heirs[0][1].name}")
    assert split == SPLIT


def public_methods(cls: type) -> Iterator[tuple[str, object]]:
    for name, value in vars(cls).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and not name.startswith("_") and function.__name__ == name:
            yield name, function


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_methods_are_documented(path: Path) -> None:
    """An override needs no docstring: the class that declares the method has it."""
    if path.name in RUN_AS_PROGRAMS:
        return
    try:
        module = importlib.import_module(module_name(path))
    except ModuleNotFoundError as exc:
        assert (exc.name or "").partition(".")[0] not in ("openenv_async", "openenv_sync")
        return  # an extra that is not installed
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__ or cls.__name__.startswith("_"):
            continue
        for name, function in public_methods(cls):
            declared = any(name in vars(base) for base in cls.__mro__[1:])
            assert declared or inspect.getdoc(function), f"{cls.__qualname__}.{name}"


TWINS = {
    *("Action", "Environment", "EnvironmentMetadata", "Observation", "State", "StepResult"),  # OpenEnv's, in compat
    "NativeConnection",  # the two ends of one wire
}
"""Classes of one name in two files: the same thing on both sides, or the other project's name for it."""


def test_a_class_name_is_used_once() -> None:
    assert {name for name, places in classes().items() if len(places) > 1} <= TWINS


LOOKED_UP: set[str] = {
    # What an author may write or leave out.
    *(f"runtime/host.py: {name}" for name in ("reset", "step", "close", "transform")),
    *("runtime/call_adapter.py: step", "runtime/call_adapter.py: step_timeout_s", "runtime/blueprint.py: execution"),
    # What a platform or Python's import system may lack.
    *("runtime/blueprint.py: fork", "server/session_listing.py: sysconf"),
    *(f"runtime/processes/blueprint_transfer.py: {name}" for name in ("origin", "load_package")),
    "client/episodes.py: reset",  # of a policy, which may be a plain function
    "client/options.py: step",  # tells an environment class, of any base, from an ASGI app that is a class
    # An author's class may have either, or be a function that builds the environment.
    *("server/web/routes.py: reset", "server/web/routes.py: reset_async"),
    "server/gym_spaces.py: _asdict",  # named tuples have no class of their own
}
"""`file: attribute` of a `getattr` that no Protocol can replace, each with its reason beside it."""


@pytest.mark.parametrize("package", ["runtime", "server", "client", "transport", "protocol"])
def test_abilities_are_in_the_protocol(package: str) -> None:
    found = set()
    for path in sorted((ROOT / "openenv_async" / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("getattr", "hasattr")
            ):
                attribute = node.args[1]
                name = attribute.value if isinstance(attribute, ast.Constant) else None
                # What a platform or the language may lack is not an ability of ours.
                if isinstance(name, str) and not name.isupper() and not name.startswith("__"):
                    found.add(f"{path.relative_to(ROOT / 'openenv_async').as_posix()}: {name}")
    assert found - LOOKED_UP == set()


@pytest.mark.parametrize(
    "name", ["openenv_async", "openenv_sync", "openenv_async.client", "openenv_async.server", "openenv_async.providers"]
)
def test_every_export_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert [export for export in module.__all__ if getattr(module, export, None) is None] == []


PUBLIC = {
    "openenv_async": [
        "Action",
        "AsyncEnv",
        "DockerProvider",
        "Environment",
        "EnvironmentMetadata",
        "Episode",
        "Execution",
        "Limits",
        "Observation",
        "ProcessOptions",
        "Provider",
        "RecordOptions",
        "ServeOptions",
        "State",
        "StepResult",
        "create_app",
        "errors",
        "serve_app",
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
