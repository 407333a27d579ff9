"""Programs that put load on a server, each run as a child process in the interpreter of its own side.

Standard library at the top: `load` and `speech` are imported by the peer's interpreter as well as by ours.
"""
