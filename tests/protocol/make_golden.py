"""Write the golden files of a protocol version: `python tests/protocol/make_golden.py v1`.

Run once for each version that is published. Files that exist are never written
again: they are what peers of that version send, for ever.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frame_examples import GOLDEN, VERSIONS

from openenv_async.protocol.frames import encode


def write(version: str, folder: Path) -> list[Path]:
    """Write one file per frame.

    Raises:
        FileExistsError: one of them is there already; nothing was written.
    """
    files = {folder / version / f"{name}.msgpack": encode(frame) for name, frame in VERSIONS[version].items()}
    there = sorted(path.name for path in files if path.exists())
    if there:
        raise FileExistsError(
            f"{version} is published: {', '.join(there)} must not change; add a new version to frame_examples.py"
        )
    (folder / version).mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        path.write_bytes(data)
    return list(files)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in VERSIONS:
        sys.exit(f"usage: make_golden.py {'|'.join(VERSIONS)}")
    try:
        written = write(sys.argv[1], GOLDEN)
    except FileExistsError as exc:
        sys.exit(str(exc))
    sys.stdout.write(f"{len(written)} files in {GOLDEN.name}/{sys.argv[1]}\n")
