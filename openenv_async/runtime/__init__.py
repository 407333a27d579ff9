"""Sessions, the executors that run their environments, and the slots they take.

Knows the values' bytes (`codec`) and the session's states (`protocol`), not how bytes travel: `server` turns frames
and requests into calls, and outcomes into replies.
"""
