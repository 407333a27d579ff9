"""Where an environment's code runs, as named objects behind one Protocol.

`inline` is the event loop, `thread` a thread that a session keeps for life; a
process per session has its place here too. `start.start_executor` chooses.
"""
