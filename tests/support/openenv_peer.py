"""The interpreter of a virtual environment with `openenv==0.10.0`: OPENENV_PEER names it, or it is made when wanted."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pytest

VARIABLE = "OPENENV_PEER"


@lru_cache(maxsize=1)
def peer() -> str:
    """Give the interpreter; where every test must run, make its environment if need be.

    Raises:
        pytest.skip.Exception: nobody named one.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        return str(path / "bin" / "python" if path.is_dir() else path)
    if os.environ.get("OPENENV_TEST_ALL") != "1":
        pytest.skip(f"{VARIABLE} names no interpreter that has openenv 0.10.0; `make test-interop` makes one")
    from benchmarks.peer import peer_python

    return str(peer_python(lambda line: None))
