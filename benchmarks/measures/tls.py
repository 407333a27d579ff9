"""Sessions under https, both sides through the same TLS proxy: against the peer, and against our link for proxies."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.driving import Driver, Sample
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Row
from benchmarks.servers import Server
from benchmarks.tls_proxy import TlsProxy

HTTPX = "the peer's column is ours over httpx-ws, which carried TLS before and carries proxies now"


def rows(plan: Plan) -> list[Row]:
    """One session and 64, each against the peer and against our client over httpx-ws."""
    return [
        Row("tls", "1 session: p50", "us"),
        Row("tls", "64 sessions", "steps/s"),
        Row("tls", "1 session: p50, over httpx-ws", "us", note=HTTPX),
        Row("tls", "64 sessions, over httpx-ws", "steps/s", note=HTTPX),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """One pair of servers, a proxy before each."""
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        Server(plan, "ours", "async-echo") as mine,
        Server(plan, "peer", "async-echo") as theirs,
        TlsProxy(mine, Path(one)) as mine_tls,
        TlsProxy(theirs, Path(two)) as theirs_tls,
    ):
        for row, sessions, old in zip(rows, (1, 64, 1, 64), (False, False, True, True), strict=True):
            if old:
                other = Driver(
                    plan, "ours", mine, url=mine_tls.url, sessions=sessions, env=mine_tls.trust, link="httpx-ws"
                )
            else:
                other = Driver(plan, "peer", theirs, url=theirs_tls.url, sessions=sessions, env=theirs_tls.trust)
            with (
                filling(plan, row),
                other,
                Driver(plan, "ours", mine, url=mine_tls.url, sessions=sessions, env=mine_tls.trust) as ours,
            ):
                played = play(plan, {"ours": ours, "peer": other})
                fill(row, played["ours"], played["peer"], _latency_us if sessions == 1 else _rate)


def _latency_us(sample: Sample) -> float:
    return 1e6 * sample.latency_p50_s


def _rate(sample: Sample) -> float:
    return sample.rate
