"""OpenEnv's clients and their helpers, by OpenEnv's names: what trainers import.

`client_types`, `containers`, `env_client`, `generic_client`, `mcp_client`,
`sync_client` and `utils` stand for modules of `openenv.core`: OpenEnv 0.10.0's
contract (plain methods, results usable with and without `await`, its errors) over
our transport and OpenEnv's JSON wire.
"""
