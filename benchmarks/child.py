"""Run a module of this repository with the peer's interpreter: `python -P child.py MODULE ARGUMENTS...`.

The repository goes to the end of the path, where nothing in it can stand in for what the peer has installed.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
