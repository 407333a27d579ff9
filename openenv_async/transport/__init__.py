"""Whole messages from A to B, and nothing about what they mean.

`link` states the contract; `in_process`, `ws_server` (server side), `proxy_client` (client
side) and `in_process` (client side, an ASGI app in the same process) keep it.
"""
