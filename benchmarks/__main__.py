"""`python -m benchmarks`: run the measures, print the table, write JSON and a PNG."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, measures, peer, report
from benchmarks.plan import ROOT, Plan
from benchmarks.rounds import Row


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measure openenv-async beside {peer.PEER} {peer.PEER_VERSION}.",
        epilog=f"{peer.VARIABLE} names a virtual environment that has the peer, instead of one made under .cache.",
    )
    parser.add_argument("--only", nargs="+", choices=measures.NAMES, metavar="NAME", help=", ".join(measures.NAMES))
    parser.add_argument("--rounds", type=int, help="rounds of each side (default 5, with --quick 3)")
    parser.add_argument("--seconds", type=float, help="length of a round (default 2.5, with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="about two minutes: fewer, shorter rounds and fewer sizes")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-results", help="folder for bench.json and bench.png")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed or a measure failed")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing on the way to the table")
    given = parser.parse_args(argv)
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if given.seconds is not None and not given.seconds > 0:
        parser.error("--seconds must be more than 0")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Run; give the exit code."""
    given = arguments(argv)
    # As an exception, so that every `with` on the way out ends its child.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say = Plan(peer=Path(), quiet=given.quiet).say
    try:
        python = peer.peer_python(say)
    except peer.PeerUnavailable as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    plan = Plan(
        peer=python,
        rounds=given.rounds or (3 if given.quick else 5),
        seconds=given.seconds or (1.0 if given.quick else 2.5),
        quick=given.quick,
        quiet=given.quiet,
    )
    facts = {
        **machine.facts(Path(sys.executable), python),
        "rounds": f"{plan.rounds} of {plan.seconds:g} s each side, alternating; medians, ratios paired",
    }
    rows: list[Row] = []
    bystanders, interrupted = machine.Bystanders(), False
    try:
        for name in given.only or measures.NAMES:
            plan.say(f"{name}:")
            measures.run(plan, name, rows)
    except KeyboardInterrupt:
        plan.say("interrupted; what was measured follows")
        interrupted = True
    facts["others"] = f"other processes used {bystanders.cores():.2f} cores meanwhile"
    code = 130 if interrupted else 1 if given.strict and report.missed(rows) else 0
    return _finish(rows, facts, given.out, code)


def _finish(rows: list[Row], facts: dict[str, str], folder: Path, code: int) -> int:
    if rows:
        sys.stdout.write(report.table(rows, facts) + "\n")
        path = report.write_json(rows, facts, folder)
        written = [path.name]
        try:
            from benchmarks.plot import draw
        except ImportError as exc:
            sys.stderr.write(f"no picture: {exc}; `pip install 'openenv-async[bench]'` brings what draws it\n")
        else:
            written.append(draw(rows, facts, folder).name)
        sys.stderr.write(f"{' and '.join(written)} are in {folder}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
