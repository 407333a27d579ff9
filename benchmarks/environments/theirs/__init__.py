"""The same package for `openenv` 0.10.0. Runs in the peer's virtual environment only."""
