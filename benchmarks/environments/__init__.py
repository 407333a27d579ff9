"""The same tiny environments written twice: `ours` for this runtime, `theirs` for `openenv` 0.10.0.

Equal work on both sides. `theirs` is imported only by interpreters of the peer's virtual environment.
"""
