"""Writes the transcripts of the client matrix: each program, run by OpenEnv 0.10.0 on OpenEnv 0.10.0.

    OPENENV_PEER=/path/to/venv/bin/python python tests/interop/record_client.py

Run it when a program or a world changes, and read what changed in the files.
"""

from __future__ import annotations

import json

from interop_client_programs import GOLDEN, PLAYS, RUBRICS, run
from interop_servers import free_port, peer_command, serving
from support.openenv_peer import peer


def main() -> None:
    for play in PLAYS:
        port = free_port()
        with serving(peer_command(peer(), play.world, port), port) as url:
            lines = run([peer(), play.program, url])
        write(play.name, json.dumps(lines, indent=1, sort_keys=True))
    # One line for each tree: as many as there are, they are to be compared and not read.
    write("rubrics", "[\n" + ",\n".join(json.dumps(line) for line in run([peer(), RUBRICS])) + "\n]")


def write(name: str, text: str) -> None:
    (GOLDEN / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
