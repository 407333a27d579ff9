"""Executors: where an environment's code runs, behind one Protocol (`base`).

`inline` is the event loop, `thread` a thread that a session keeps for life, `process` a child process
(`runtime.processes`). `factory.start_executor` chooses.
"""
