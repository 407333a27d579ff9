"""What trainers import from OpenEnv: its clients and their helpers, by OpenEnv's names.

Each module answers for one of `openenv.core`'s. The clients are OpenEnv 0.10.0's
contract (plain methods, results usable with and without `await`, its errors) over
our transport and OpenEnv's JSON wire. `calls`, `dispatch`, `sockets`, `owning` and
`starting` are the parts they are made of and answer for nothing.
"""
