"""The two wires and the session's states, without I/O.

`frames` and `batching` are the native wire, `openenv_json` the JSON wire, `session_states` the
table of legal moves, `error_mapping` converts exceptions to wire errors.
Nothing here awaits, reads a clock or opens a socket.
"""
