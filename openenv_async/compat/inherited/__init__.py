"""The folder that `python -m openenv_async.compat` puts first on PYTHONPATH, for the processes that it starts.

Uvicorn's workers and reloader, and servers that a trainer starts as a subprocess,
are interpreters of their own. Nothing imports this package by its name.
"""
