"""`python -m openenv_async.compat script.py [args]`: a program that imports `openenv`, run on this runtime.

Takes a file, or `-m` and a module, as `python` does. `--force` before it overrides an
installed `openenv`. Python processes that the program starts answer the names too.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from openenv_async.compat.finder import install

USAGE = "usage: python -m openenv_async.compat [--force] (SCRIPT.py | -m MODULE) [ARGUMENT ...]"


def main(arguments: list[str]) -> int | str:
    """Run the program as `__main__`, with its arguments in `sys.argv`; return 0, or an error message."""
    force = arguments[:1] == ["--force"]
    arguments = arguments[1:] if force else arguments
    module = arguments[:1] == ["-m"]
    rest = arguments[1:] if module else arguments
    if not rest or rest[0].startswith("-"):
        return USAGE
    if not module and not Path(rest[0]).exists():
        return f"there is no file {rest[0]}"
    install(force=force)
    _inherit()
    sys.argv[:] = rest
    if module:
        sys.path[0] = str(Path.cwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(rest[0]).resolve().parent)
        runpy.run_path(rest[0], run_name="__main__")
    return 0


def _inherit() -> None:
    """Make the interpreters that this process starts do the same; see `inherited.sitecustomize`."""
    folder = str(Path(__file__).with_name("inherited"))
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place and place != folder]
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *places])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
