"""Environments in processes of their own: `execution = "process"`.

    pool      the server's side of all of it: spare processes, seats, who ends what; `executors.process` plays on it
    nursery   the server's end of the zygote: asks for processes, hears of their ends
    zygote    the process that all the others are forked from; has no threads and no event loop
    birth     what a forked process does first: descriptors, signals, seeds, limits
    worker    what it does then: calls in, outcomes out, for one session or for several
    packets, messages, channel   what passes between a session's process and the server
    recipe    how an environment gets into an interpreter that did not import it
    crash     what is told of a process that ended by itself

Importing this package imports none of them.
"""
