"""A mounted folder: many names, one set of modules, and nothing else hidden."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serve_command import write_env

from openenv_async.cli.import_path import mount


@pytest.fixture(autouse=True)
def clean_imports(tmp_path: Path) -> Iterator[None]:
    """What is mounted here is gone afterwards."""
    finders, paths = list(sys.meta_path), list(sys.path)
    yield
    sys.meta_path[:], sys.path[:] = finders, paths
    places = {
        name: [getattr(module, "__file__", None) or "", *getattr(module, "__path__", [])]
        for name, module in list(sys.modules.items())
    }
    for name, found in places.items():
        if any(str(place).startswith(str(tmp_path)) for place in found):
            del sys.modules[name]
    importlib.invalidate_caches()


def test_every_name_of_a_module_is_the_same_module(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "clone_of_it")
    assert mount(folder, "my-env", "server.app") == "my_env"
    first = importlib.import_module("my_env.models")
    assert importlib.import_module("models") is first
    assert importlib.import_module("clone_of_it.models") is first
    assert importlib.import_module("server.app") is importlib.import_module("my_env.server.app")
    assert first.__spec__ is not None
    assert first.__spec__.name == "my_env.models"
    assert str(folder) not in sys.path


def test_mounting_twice_changes_nothing(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    finders = len(sys.meta_path)
    assert mount(folder, "my_env", "server.app") == mount(folder, "my_env", "server.app")
    assert len(sys.meta_path) == finders + 1


def test_a_file_called_like_a_standard_module_hides_it_from_nobody(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    (folder / "colorsys.py").write_text("MINE = True\n", encoding="utf-8")
    sys.modules.pop("colorsys", None)
    package = mount(folder, "my_env", "server.app")
    assert not hasattr(importlib.import_module("colorsys"), "MINE")
    assert importlib.import_module(f"{package}.colorsys").MINE


@pytest.mark.parametrize("name", ["colorsys", "json", "class", "2048"])
def test_a_name_that_cannot_be_a_package_of_its_own(name: str, tmp_path: Path) -> None:
    folder = write_env(tmp_path / name)
    package = mount(folder, name, "server.app")
    assert package.isidentifier()
    assert package != name
    assert importlib.import_module(f"{package}.server.app").app is not None


def _library(tmp_path: Path, name: str, *files: str) -> None:
    library = tmp_path / "site"
    for file in ("__init__.py", *files):
        (library / name / file).parent.mkdir(parents=True, exist_ok=True)
        (library / name / file).write_text("LIBRARY = True\n", encoding="utf-8")
    sys.path.insert(0, str(library))
    importlib.invalidate_caches()


def test_a_library_of_the_same_name_stays_itself(tmp_path: Path) -> None:
    _library(tmp_path, "some_game")
    folder = write_env(tmp_path / "some_game", name="some_game")
    package = mount(folder, "some_game", "server.app")
    assert package != "some_game"
    assert importlib.import_module("some_game").LIBRARY
    assert importlib.import_module(f"{package}.server.app").app is not None


def test_an_installed_copy_of_the_environment_gives_way_to_the_folder(tmp_path: Path) -> None:
    _library(tmp_path, "my_env", "server/__init__.py", "server/app.py")
    folder = write_env(tmp_path / "my_env")
    assert mount(folder, "my_env", "server.app") == "my_env"
    assert not hasattr(importlib.import_module("my_env.server.app"), "LIBRARY")


def test_a_folder_without_init_is_a_package_too(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    (folder / "__init__.py").unlink()
    (folder / "server" / "__init__.py").unlink()
    package = mount(folder, "my_env", "server.app")
    assert importlib.import_module(f"{package}.server.app").app is not None


def test_what_is_not_there_is_reported_by_the_name_that_was_asked_for(tmp_path: Path) -> None:
    mount(write_env(tmp_path / "my_env"), "my_env", "server.app")
    with pytest.raises(ModuleNotFoundError, match="No module named 'server.nothing'"):
        importlib.import_module("server.nothing")
    with pytest.raises(ModuleNotFoundError, match="No module named 'my_env.nothing'"):
        importlib.import_module("my_env.nothing")
