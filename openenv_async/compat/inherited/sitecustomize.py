"""Run by an interpreter as it starts, if this folder is on its path: installs the import hook there too.

The `sitecustomize` that would have run without this one runs as well.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "sitecustomize":  # not when it is imported by its longer name
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != _HERE]
    _this = sys.modules.pop("sitecustomize")
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("sitecustomize")
    sys.modules.setdefault("sitecustomize", _this)  # the import system looks for it there

    # An interpreter of another virtual environment may not have this package.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("openenv_async.compat.finder").apply()
