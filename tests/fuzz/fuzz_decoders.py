"""Fuzzing of both wires' decoders, guided by coverage: `python tests/fuzz/fuzz_decoders.py --seconds 30`.

Needs atheris: `pip install 'openenv-async[fuzz]'`. What it learns stays in `.cache/fuzz`, for the next run to begin
with; an input that breaks something is written there too, and `python tests/fuzz/atheris_native.py FILE` does it again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "protocol" / "golden"
HARNESSES = ("native", "json")

JSON = (
    '{"type":"reset","data":{"seed":1}}',
    '{"type":"step","data":{"message":"hi","n":NaN,"t":"\\ud800"}}',
    '{"type":"state"}',
    '{"type":"mcp","data":{"jsonrpc":"2.0","id":1,"method":"tools/list"}}',
    '{"type":"observation","data":{"observation":{},"reward":Infinity,"done":false},"warnings":["x"]}',
    '{"type":"error","data":{"message":"m","code":"VALIDATION_ERROR"}}',
)


def plant(folder: Path, harness: str) -> None:
    """Write what fuzzing begins with: one message of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    if harness == "json":
        seeds = {f"json-{at}": text.encode() for at, text in enumerate(JSON)}
    else:
        seeds = {path.stem: b"\x91" + path.read_bytes() for path in GOLDEN.glob("v*/*.msgpack")}
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


def fuzz(harness: str, seconds: float, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one harness; its exit code is not 0 when it found something, and its output says what."""
    corpus = folder / harness
    plant(corpus, harness)
    return subprocess.run(
        [
            *(sys.executable, str(HERE / f"atheris_{harness}.py")),
            *(f"-max_total_time={max(1, round(seconds))}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"),
            *(f"-artifact_prefix={folder}/{harness}-", str(corpus)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + 60,
        check=False,
    )


def main() -> int:
    """Run from the command line; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(description="Fuzz the decoders of both wires.")
    parser.add_argument("--seconds", type=float, default=30.0, help="for all harnesses together [30]")
    parser.add_argument("--only", choices=HARNESSES, help="one harness")
    parser.add_argument("--folder", type=Path, default=Path(".cache/fuzz"), help="what was learnt [.cache/fuzz]")
    given = parser.parse_args()
    chosen = [given.only] if given.only else list(HARNESSES)
    found = 0
    for harness in chosen:
        done = fuzz(harness, given.seconds / len(chosen), given.folder)
        found += done.returncode != 0
        lines = done.stdout.splitlines()
        shown = lines[-60:] if done.returncode else [line for line in lines if line.startswith(("#", "stat"))][-8:]
        sys.stdout.write("\n".join([f"{harness}: exit code {done.returncode}", *shown, ""]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
