"""Environments at work: the sessions, the executors they run on, the slots they take.

Knows the values' bytes (`codec`) and the session's states (`protocol`), not how
bytes travel: `server` turns frames and requests into `Request`s and replies back.
"""
