"""docs/modules.md lists every module with the first line of its docstring, as they are now."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "modules.md"
PACKAGES = ("openenv_async", "openenv_sync")
HEAD = """# Modules

Every module and the first line of its docstring. `python tests/test_modules_page.py --write` writes it.
"""


def modules(package: str) -> list[Path]:
    found = [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]
    return sorted(found, key=lambda path: (len(path.relative_to(ROOT).parts) > 2, path.parent, path.name))


def first_line(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0].rstrip(".")


def page() -> str:
    rows = [
        f"{path.relative_to(ROOT).as_posix():<52} {first_line(path)}"
        for package in PACKAGES
        for path in modules(package)
    ]
    return HEAD + "\n```text\n" + "\n".join(rows) + "\n```\n"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python tests/test_modules_page.py --write`"


def test_every_module_says_what_it_is() -> None:
    assert [str(path) for package in PACKAGES for path in modules(package) if not first_line(path)] == []


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    PAGE.write_text(page(), encoding="utf-8")
