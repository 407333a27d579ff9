"""Checks of an environment's folder: its files, its code, and the server and image made of them."""
