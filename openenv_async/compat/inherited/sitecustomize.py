"""What an interpreter runs as it starts, where this folder is on its path: OpenEnv's names are answered there too.

The `sitecustomize` that would have been run without this one is run as well.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "sitecustomize":  # and nobody looks at this file by its longer name
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != _HERE]
    _this = sys.modules.pop("sitecustomize")
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("sitecustomize")
    sys.modules.setdefault("sitecustomize", _this)  # the import system looks for it there

    # An interpreter of another environment may not have this package; it has nothing to do with us then.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("openenv_async.compat.finder").apply()
