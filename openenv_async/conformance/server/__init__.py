"""Checks of a running server with honest clients, as both commands make them."""
