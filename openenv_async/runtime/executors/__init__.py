"""Where an environment's code runs, as named objects behind one Protocol.

`inline` is the event loop, `thread` a thread that a session keeps for life, `process`
a seat in a process (`runtime.processes`). `start.start_executor` chooses.
"""
