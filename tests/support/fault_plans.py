"""What the proxy does to which connection, drawn from a seed that a failed test prints.

    with seeded() as seed:
        async with Proxy(server.address) as proxy:
            proxy.arm(Cuts(seed, most_bytes=4000, times=1000))

`OPENENV_FAULT_SEED=12345 pytest -k name` draws the same plans again. What differs from one
run to the next is the order in which the system schedules those who read and write.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

SEED = "OPENENV_FAULT_SEED"

Kind = Literal["reset", "finish", "delay", "throttle", "half-open", "truncate", "duplicate"]
CUTS: tuple[Kind, ...] = ("reset", "finish")

KINDS: tuple[Kind, ...] = (*CUTS, "delay", "throttle", "half-open", "truncate")
"""Those that TCP does not keep from its users. It repeats nothing, and OpenEnv's JSON could not tell."""

Way = Literal["up", "down"]
"""From the client to the server, or back."""

WAYS: tuple[Way, ...] = ("up", "down")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that happens to a connection once `at` bytes have gone one way.

    reset       both sides get RST, at exactly this byte
    finish      both sides get FIN, at exactly this byte
    delay       this way stands still for `seconds`
    throttle    from here on, `rate` bytes a second this way, for `seconds` if that is not 0
    half-open   both ways are swallowed from here on, and no side is told; after `seconds`, if any, both get RST
    truncate    this way is swallowed from here on; after `seconds` both sides get FIN
    duplicate   the next WebSocket message that is whole goes out twice: TCP itself repeats nothing
    """

    kind: Kind
    way: Way
    at: int
    seconds: float = 0.0
    rate: int = 0


Plan = Callable[[int], Sequence[Fault]]
"""Connection number to its faults. Called in the proxy's thread."""


def healthy(_connection: int) -> Sequence[Fault]:
    """Leave every connection alone."""
    return ()


def always(*faults: Fault) -> Plan:
    """Do the same to every connection."""
    return lambda _connection: faults


class Cuts:
    """One cut for each connection at a random byte, until so many have been planned; later ones stay whole.

    Half of them early, in the handshake and in what is said first, the others anywhere.
    """

    def __init__(self, seed: int, *, most_bytes: int, times: int, kinds: Sequence[Kind] = CUTS) -> None:
        self._seed, self._most_bytes, self._kinds = seed, most_bytes, kinds
        self._left = times
        self._lock = threading.Lock()

    def __call__(self, connection: int) -> Sequence[Fault]:
        with self._lock:
            if self._left <= 0:
                return ()
            self._left -= 1
        draw = drawn(self._seed, connection)
        kind, way = draw.choice(self._kinds), draw.choice(WAYS)
        at = draw.choice([draw.randrange(self._most_bytes), int(self._most_bytes ** draw.random())])
        return [Fault(kind=kind, way=way, at=at, seconds=draw.uniform(0.0, 0.05))]


class Often:
    """Faults of these kinds on every connection, both ways, at random distances."""

    def __init__(self, seed: int, *kinds: Kind, apart: int, most_s: float, times: int = 50) -> None:
        self._seed, self._kinds, self._apart, self._most_s, self._times = seed, kinds, apart, most_s, times

    def __call__(self, connection: int) -> Sequence[Fault]:
        draw = drawn(self._seed, connection)
        faults = []
        for way in WAYS:
            at = 0
            for _ in range(self._times):
                at += draw.randrange(self._apart)
                kind, seconds = draw.choice(self._kinds), draw.uniform(0.01, self._most_s)
                faults.append(Fault(kind=kind, way=way, at=at, seconds=seconds, rate=draw.randrange(50_000, 500_000)))
        return faults


def drawn(seed: int, number: int) -> random.Random:
    """Give connection `number` its own source, so that the order of connections does not matter."""
    return random.Random(f"{seed}:{number}")


@contextlib.contextmanager
def seeded() -> Iterator[int]:
    """Give the seed of a test, from `OPENENV_FAULT_SEED` or a new one; a failure names it."""
    given = os.environ.get(SEED)
    seed = int(given) if given else random.SystemRandom().randrange(2**32)
    try:
        yield seed
    except BaseException as exc:
        exc.add_note(f"again with the same faults: {SEED}={seed}")
        raise
