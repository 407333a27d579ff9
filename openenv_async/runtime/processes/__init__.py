"""Environments in processes of their own: `execution = "process"`.

`pool` is the server's side: spare processes and those in use. It asks the fork server (`fork_server`, started by
`fork_server_client`) for a process and holds it as a `handle`. In the process, `child_setup` and then `child_main` run.
`ipc` and `messages` carry the calls between them. Importing this package imports none of them.
"""
