"""Clients in a process of their own, for a test that pauses it: `python client_process.py URL SESSIONS SEED`.

Says `ready` once every session has begun, plays until its standard input ends, and writes what its clients know
as JSON: tag and steps of each, and what they saw that cannot be.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import uvloop
from players import players
from support.fault_plans import drawn


async def main(url: str, sessions: int, seed: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: over.set())
    async with players(url, sessions) as made:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.gather(*(player.play(over.is_set, drawn(seed, at)) for at, player in enumerate(made)))
        known = {player.ledger.tag: player.ledger.n for player in made}
        wrong = [player.ledger.last_wrong for player in made if player.ledger.wrong]
    sys.stdout.write(json.dumps({"known": known, "wrong": wrong}) + "\n")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
