"""One run from a server's address to its report."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from openenv_async.checking import calm, crowd, cuts, garbage, manners
from openenv_async.checking.neighbour import Neighbour
from openenv_async.checking.runner import Listener, Runner
from openenv_async.checking.verdicts import NotJudged, Report
from openenv_async.checking.world import World
from openenv_async.errors import EnvError, ProtocolError
from openenv_async.protocol.frames import Hello
from openenv_async.transport.link import LinkClosed
from openenv_async.validation.checks import NotAnEnvironment
from openenv_async.validation.endpoints import require_server
from openenv_async.validation.subject import Subject

MOST_CALL_S = 30.0
"""Seconds that one call may take at most; less where the whole run has little time."""

LEAST_CALL_S = 5.0
"""Seconds that a call may take on a server whose steps take none."""

WorldCheck = Callable[[World], Awaitable[str]]

_CALM: tuple[tuple[str, WorldCheck, tuple[str, ...]], ...] = (
    ("health", calm.health, ()),
    ("schema", calm.schema, ()),
    ("play", calm.play, ("schema",)),
    ("seed", calm.seed, ("play",)),
    ("mixing", calm.mixing, ("play",)),
    ("wrong-action", calm.wrong_action, ("play",)),
    ("leaving", calm.leaving, ("play",)),
    ("lost-socket", calm.lost_socket, ("play",)),
)

# The one that leaks most comes last: it takes the places that the others need.
_CHAOS: tuple[tuple[str, WorldCheck], ...] = (
    ("capacity", crowd.capacity),
    ("capacity-back", crowd.capacity_back),
    ("cut-json", cuts.cut_json),
    ("cut-native", cuts.cut_native),
    ("garbage-text", garbage.text),
    ("garbage-object", garbage.no_object),
    ("garbage-type", garbage.unknown_type),
    ("garbage-keys", garbage.keys),
    ("garbage-binary", garbage.binary),
    ("garbage-depth", garbage.depth),
    ("garbage-size", garbage.size),
    ("garbage-native", garbage.native),
    ("garbage-utf8", garbage.utf8),
    ("truncated", manners.truncated),
    ("half-handshake", manners.half_handshake),
    ("slow-handshake", manners.slow_handshake),
    ("never-reads", manners.never_reads),
    ("two-at-once", manners.two_at_once),
    ("early-step", manners.early_step),
    ("close-twice", manners.close_twice),
    ("seeds", manners.seeds),
    ("leaving-midstep", crowd.leaving_midstep),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How far a run goes."""

    chaos: bool = False
    """Misbehave too; not for a server that others depend on."""

    timeout_s: float = 120.0
    """Seconds for everything."""

    max_sessions: int = 64
    """Sessions held at once at most."""

    token: str | None = field(default=None, repr=False)
    listener: Listener = lambda finding: None
    """Told each finding as it is made."""

    begins: Callable[[str], object] = lambda name: None
    """Told the id of each check as it begins."""


async def check_server(url: str, options: Options, report: Report | None = None) -> Report:
    """Drive a running server, of this runtime or of any other that speaks OpenEnv.

    Args:
        url: its base URL.
        options: how far to go.
        report: filled as findings are made, for a caller that may be interrupted; by default a new one.

    Raises:
        NotAnEnvironment: nothing answers there, or something else does.
        Unauthorized: it wants a token.
        CancelledError: every session is closed, and the report has what was found so far.
    """
    report = report or Report(target=url, chaos=options.chaos)
    began = time.monotonic()
    call_s = min(MOST_CALL_S, max(1.0, options.timeout_s / 6))
    world = World(
        Subject(url=url, token=options.token, call_timeout_s=call_s), most_sessions=max(2, options.max_sessions)
    )
    try:
        await require_server(world.subject)
        world.hello = await _hello(world.subject)
        report.wires = list(world.wires)
        report.features = [] if world.hello is None else sorted(world.hello.features)
        with warnings.catch_warnings():
            # Clients warn of what a server did not do as asked; here that is a finding.
            warnings.simplefilter("ignore")
            await _check(world, report, options)
        report.complete = True
    finally:
        report.duration_s = time.monotonic() - began
    return report


async def _check(world: World, report: Report, options: Options) -> None:
    runner = Runner(report, options.listener, lambda: calm.answers(world), options.timeout_s, options.begins)
    for name, check, needs in _CALM:
        held = await runner.run(name, _bound(check, world), *needs)
        if name == "play" and held:
            runner.slowness_s = 60 * world.step_s
            call_s = max(LEAST_CALL_S, 20 * world.step_s)
            world.subject = replace(world.subject, call_timeout_s=min(call_s, world.subject.call_timeout_s))
    report.max_sessions = (await world.told()).most
    if world.actions:
        try:
            report.latency = await calm.measure(world)
        except (NotJudged, EnvError, LinkClosed, OSError):
            # Figures are no promise, and what is wrong has been found above.
            report.latency = None
    if options.chaos:
        await _cause_chaos(world, report, runner)


async def _hello(subject: Subject) -> Hello | None:
    try:
        async with asyncio.timeout(subject.call_timeout_s):
            return await subject.hello()
    except (TimeoutError, ProtocolError) as error:
        text = f"the server at {subject.url} accepts the native wire and does not speak it: {error or 'no hello came'}"
        raise NotAnEnvironment(text) from None


async def _cause_chaos(world: World, report: Report, runner: Runner) -> None:
    neighbour = Neighbour(world, lambda: runner.doing)
    if world.actions:
        await neighbour.start()
    try:
        for name, check in _CHAOS:
            await runner.run(name, _bound(crowd.gives_back(check), world), "play")
            if report.max_sessions is None and name == "capacity":
                report.max_sessions = None if world.places is None else world.places + neighbour.present
    finally:
        await neighbour.stop()
    report.neighbour = neighbour.latency

    async def verdict() -> str:
        return neighbour.verdict()

    await runner.run("neighbour", verdict, "play")


def _bound(check: WorldCheck, world: World) -> Callable[[], Awaitable[str]]:
    return lambda: check(world)
