"""The folder that `python -m openenv_async.compat` puts first on PYTHONPATH, for child processes.

Uvicorn's workers and reloader, and servers that a trainer starts, are separate
interpreters. Nothing imports this package by its name.
"""
