"""The sync client on a network that cuts: its threads get each result once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from players import Ledger
from requirements import requirement
from server_process import server_process
from support.counting_env import CountAction, CountObservation, CountState
from support.fault_plans import Cuts, healthy, seeded
from support.fault_proxy import Proxy
from support.servers import BOUND_S

from openenv_sync import SyncEnv

THREADS, CUTS = 16, 100


class SyncCountEnv(SyncEnv[CountAction, CountObservation, CountState]):
    pass


def play(proxy: Proxy, number: int) -> Ledger:
    """Play until there have been so many cuts."""
    ledger = Ledger()
    with SyncCountEnv(base_url=proxy.url, headers={"x-lane": str(number % 4)}) as env:
        ledger.begin(env.reset(tag=ledger.tag).observation)
        while proxy.counts["reset"] + proxy.counts["finish"] < CUTS:
            for _ in range(10):
                action = ledger.next()
                ledger.check(env.step(action).observation, action)
        assert env.state().count == ledger.n
    return ledger


@requirement("faults:cuts")
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_sync_clients_under_cuts() -> None:
    with seeded() as seed:
        async with server_process() as server:
            with Proxy(server.address) as proxy, ThreadPoolExecutor(THREADS) as threads:
                # What cuts an opening is the client's to try again, and others' test.
                proxy.arm(Cuts(seed, most_bytes=20_000, times=10**9))
                played = [threads.submit(play, proxy, number) for number in range(THREADS)]
                ledgers = [one.result(2 * BOUND_S) for one in played]
                proxy.arm(healthy)
            assert [ledger.last_wrong for ledger in ledgers if ledger.wrong] == []
            seen = await server.until("sessions", 0)
            assert seen["executed"] == {ledger.tag: ledger.n for ledger in ledgers}
