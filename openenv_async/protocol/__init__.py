"""The two wires and the session's states, without any I/O.

`frames` and `batches` are the native wire, `openenv` the JSON one, `states` the
table of legal moves, `failures` the one place where exceptions become wire errors.
Nothing here awaits, reads a clock or opens a socket.
"""
