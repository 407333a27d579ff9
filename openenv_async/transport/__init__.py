"""Whole messages from A to B, and nothing about what they mean.

`link` states the contract; `memory`, `asgi` (server side), `websocket` (client
side) and `inprocess` (client side, an ASGI app in the same process) keep it.
"""
