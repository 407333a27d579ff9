"""Either client on the other's server, 64 sessions: what somebody gains who changes only one end."""

from __future__ import annotations

from benchmarks.driving import Driver
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row
from benchmarks.servers import Server

SESSIONS = 64


def rows(plan: Plan) -> list[Row]:
    """Both crossings, each against the peer's client on the peer's server."""
    base = "`peer` is the peer's client on the peer's server"
    return [
        Row(
            "interop",
            "64 sessions, peer's client on our server",
            "steps/s",
            goal=Goal("ratio at least", 1.3),
            note=base,
        ),
        Row("interop", "64 sessions, our client on peer's server", "steps/s", note=base),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Three contenders in turn, so that both crossings share their baseline."""
    ours_served, ours_played = rows
    with (
        Server(plan, "ours", "async-echo") as mine,
        Server(plan, "peer", "async-echo") as theirs,
        filling(plan, ours_served, ours_played),
        Driver(plan, "peer", mine, url=mine.url, sessions=SESSIONS) as their_client,
        Driver(plan, "ours", theirs, url=theirs.url, sessions=SESSIONS) as our_client,
        Driver(plan, "peer", theirs, url=theirs.url, sessions=SESSIONS) as baseline,
    ):
        played = play(plan, {"served": their_client, "base": baseline, "played": our_client})
        fill(ours_served, played["served"], played["base"], lambda sample: sample.rate)
        fill(ours_played, played["played"], played["base"], lambda sample: sample.rate)
