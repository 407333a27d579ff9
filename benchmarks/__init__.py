"""`make bench`: this runtime and `openenv` 0.10.0 side by side, in the same run, on the same machine.

Nothing here is part of the product. `measures` says what is measured, `drivers` and
`environments` run in child processes on either side, everything else is the harness.
"""
