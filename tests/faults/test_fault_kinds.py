"""Every kind of fault but the plain cut, one at a time: nothing is lost, done twice or swapped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from players import known, players
from requirements import requirement
from server_process import server_process
from support.fault_plans import Cuts, Kind, Often, Plan, drawn, healthy, seeded
from support.fault_proxy import Address, Proxy
from support.servers import bounded

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["uvloop"])]

SESSIONS, LONGEST_S = 40, 40.0

KINDS: dict[Kind, dict[str, Any]] = {
    "delay": {"apart": 20_000, "most_s": 0.1},
    "throttle": {"apart": 50_000, "most_s": 0.1},
    "half-open": {"apart": 50_000, "most_s": 0.5},
    "truncate": {"apart": 50_000, "most_s": 0.2},
    "duplicate": {"apart": 20_000, "most_s": 0.1},
}
"""How far apart, and how long at most; one that is half open ends with RST after that. TCP itself repeats nothing."""

FAULTS = 60


async def survive(seed: int, plan: Plan, kinds: tuple[Kind, ...], listen: Address = ("127.0.0.1", 0)) -> None:
    """Play until so many faults of these kinds have happened, and compare."""
    # A request that comes twice is known by its number; its pieces have none that says which sending they are of.
    chunk_bytes = 100_000 if "duplicate" in kinds else 2000
    async with server_process(chunk_bytes=chunk_bytes, execution="thread") as server:
        with Proxy(server.address, listen) as proxy:

            def over() -> bool:
                return sum(proxy.counts[kind] for kind in kinds) >= FAULTS

            async with players(proxy.url, SESSIONS, per_lane=4) as made:
                proxy.arm(plan)
                calls = [player.play(over, drawn(seed, -at)) for at, player in enumerate(made)]
                await bounded(asyncio.gather(*calls), LONGEST_S)
                proxy.arm(healthy)
                counted = known(made)
        assert (await server.until("sessions", 0))["executed"] == counted


@requirement("faults:kinds")
@pytest.mark.parametrize("kind", KINDS)
async def test_sessions_survive(kind: Kind) -> None:
    with seeded() as seed:
        await survive(seed, Often(seed, kind, **KINDS[kind]), (kind,))


@requirement("faults:cuts")
async def test_cuts_of_unix_sockets(tmp_path: Path) -> None:
    with seeded() as seed:
        plan = Cuts(seed, most_bytes=20_000, times=10**9)
        await survive(seed, plan, ("reset", "finish"), tmp_path / "proxy.sock")
