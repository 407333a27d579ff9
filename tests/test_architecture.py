"""ARCHITECTURE.md shows every module with the first line of its docstring, as they are now."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
PACKAGES = ("openenv_async", "openenv_sync")
BEGIN, END = "<!-- tree:", "<!-- end of tree -->"


def modules(package: str) -> list[Path]:
    found = [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]
    return sorted(found, key=lambda path: (len(path.relative_to(ROOT).parts) > 2, path.parent, path.name))


def line(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return f"{path.relative_to(ROOT).as_posix():<44} {doc.partition(chr(10))[0].rstrip('.')}"


def tree() -> str:
    rows = [line(path) for package in PACKAGES for path in modules(package)]
    return "```text\n" + "\n".join(rows) + "\n```\n"


def split() -> tuple[str, str, str]:
    text = PAGE.read_text(encoding="utf-8")
    start = text.index("\n", text.index(BEGIN)) + 1
    end = text.index(END)
    return text[:start], text[start:end], text[end:]


def test_the_tree_is_the_one_on_disk() -> None:
    assert split()[1] == tree(), "run `python tests/test_architecture.py --write`"


def test_every_module_says_what_it_is() -> None:
    silent = [str(path) for package in PACKAGES for path in modules(package) if not line(path)[45:].strip()]
    assert silent == []


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    head, _, tail = split()
    PAGE.write_text(head + tree() + tail, encoding="utf-8")
