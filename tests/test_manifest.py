"""Every promise of the manifest has a test, and every test that names a promise names one that exists."""

from __future__ import annotations

import ast
from pathlib import Path

from requirements import REQUIREMENTS

TESTS = Path(__file__).parent


def named() -> dict[str, list[str]]:
    """Give the promises that tests name, with where; read from the files, so that one file alone can be run."""
    found: dict[str, list[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", None) != "requirement":
                continue
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.setdefault(argument.value, []).append(path.name)
    return found


def test_every_promise_has_a_test() -> None:
    assert sorted(set(REQUIREMENTS) - set(named())) == []


def test_every_named_promise_is_in_the_manifest() -> None:
    assert sorted(set(named()) - set(REQUIREMENTS)) == []
