"""Writes the golden transcripts: every script, played on OpenEnv 0.10.0.

    OPENENV_PEER=/path/to/venv/bin/python python tests/interop/record.py [NAME ...]

A name chooses one case, or all of a world. Run it when a script changes, and read what changed in the files.
"""

from __future__ import annotations

import json
import sys

from interop_cases import CASES, Case, grouped
from interop_playing import Player
from interop_servers import free_port, peer_command, serving
from support.openenv_peer import peer


def main(names: list[str]) -> None:
    chosen = [case for case in CASES.values() if not names or {case.name, case.world} & set(names)]
    for (world, variables), cases in grouped(chosen).items():
        port = free_port()
        with serving(peer_command(peer(), world, port), port, dict(variables)) as url:
            for case in cases:
                record(case, url)


def record(case: Case, url: str) -> None:
    said = Player(url).play(case.moves)
    pairs = [{"move": move, "said": answer} for move, answer in zip(case.moves, said, strict=True)]
    case.golden.write_text(json.dumps(pairs, indent=1, sort_keys=True, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
