"""The two wires and the session's states, without any I/O.

`frames` and `batching` are the native wire, `openenv_json` the JSON one, `session_states` the
table of legal moves, `error_mapping` the one place where exceptions become wire errors.
Nothing here awaits, reads a clock or opens a socket.
"""
