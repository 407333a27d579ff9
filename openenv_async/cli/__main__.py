"""`python -m openenv_async.cli`: the `openenv` command where its script is not on the PATH."""

from __future__ import annotations

from openenv_async.cli import main

if __name__ == "__main__":
    main(prog_name="openenv")
