"""Checks of a running server with faults and misbehaving clients: `openenv check`."""
