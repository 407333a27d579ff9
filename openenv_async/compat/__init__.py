"""The import hook that answers `import openenv...` with this runtime.

Environments and trainers written for OpenEnv 0.10.0 import `openenv` or the
older `openenv_core`. `install()` puts an import hook into this process that
answers both names; `python -m openenv_async.compat script.py` does it for a
script. No file of another project's name is installed anywhere.

`modules` is the table of names, `finder` the hook, `names` the packages' fronts,
`server` is for authors, `client` and `rubrics` for trainers. Importing this package
imports neither server nor client.
"""

from __future__ import annotations

from openenv_async.compat.finder import VARIABLE, Mode, answered, apply, install, installed, uninstall

__all__ = ["VARIABLE", "Mode", "answered", "apply", "install", "installed", "uninstall"]
