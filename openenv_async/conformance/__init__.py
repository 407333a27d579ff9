"""Checks of environments and their servers, behind `openenv validate`, `openenv check` and `openenv info`.

`project` reads an environment's folder, `server` plays a running server as honest
clients do, `chaos` as broken ones do, and `schema` makes actions from JSON Schemas.
All of them report `findings` through one `runner`.
"""
