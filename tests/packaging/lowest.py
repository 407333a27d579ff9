"""Check that each declared lower bound is what is installed; `make test-lowest` runs it before the tests.

A bound below the lowest version that can be installed beside the other extras would be one that no test has seen.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def release(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def untested() -> list[str]:
    """Requirements whose lower bound is not the version that is installed."""
    found = []
    for line in sorted(
        {*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)}
    ):
        bound = re.match(r"([A-Za-z0-9._-]+)>=([0-9.]+)", line)
        if bound is None:
            continue
        try:
            installed = importlib.metadata.version(bound[1])
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not part of `dev`
        if release(installed)[: len(release(bound[2]))] != release(bound[2]):
            found.append(f"{line}: {installed} is installed")
    return found


if __name__ == "__main__":
    if wrong := untested():
        sys.exit("raise these lower bounds to the versions that are tested:\n  " + "\n  ".join(wrong))
