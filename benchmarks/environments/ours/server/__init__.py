"""The side that serves."""
