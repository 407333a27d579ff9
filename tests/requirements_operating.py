"""Promises about operating a server, recording and replay, a part of `requirements`."""

from __future__ import annotations

OPERATING = {
    "sessions:listed": "GET /sessions says of every session what it does, since when, how fast, in what memory.",
    "sessions:paged": "The list is bounded and sorted by what was asked for, for thousands of sessions.",
    "sessions:closed": "DELETE /sessions/{id} ends a session: SESSION_LOST for its client, close() once, a free slot.",
    "sessions:hung": "A session whose call hangs is closed too: its thread is given up, its process killed.",
    "sessions:operators": "The token, or without one the key of this start, lets a client see and end sessions.",
    "top:table": "openenv top shows a server's sessions in a terminal, refreshed, and leaves the terminal clean.",
    "top:gone": "openenv top says when its server goes away, and continues when it is back.",
    "top:plain": "openenv top --once and --json work in pipes and without its extra, which is named.",
    "sessions:commands": "openenv sessions list and close work, and say what is wrong where they cannot.",
    "record:lines": "openenv serve --record writes every session as lines of JSON, on every wire, readable at once.",
    "record:values": "Bytes, arrays, NaN and every other value of the native wire come back from a file.",
    "record:redacted": "Named fields and secrets that the server knows are not in the files, which are their owner's.",
    "record:bounded": "Files, all of them, and what waits to be written have bounds; what is left out is counted.",
    "record:full-disk": "A disk that is full or gone costs no call: one warning, and the file says what is missing.",
    "replay:same": "openenv replay --against plays a recording again and exits 0 when all is the same.",
    "replay:different": "openenv replay --against shows the first difference and exits 1; --ignore excludes fields.",
    "replay:unusable": "A file that is not a recording: an error with file and line, exit 2; a cut one is played.",
    "replay:shown": "openenv replay FILE shows the recorded episodes.",
    "progress:terminal": "Long commands show progress on a terminal and plain lines elsewhere.",
    "progress:quiet": "Commands honour NO_COLOR and --quiet.",
}
