"""`openenv check`: the table of its checks, and one run from a server's address to its report.

`docs/check.md` explains the checks, in this order. Their ids are public: CI jobs and
issues name them.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from dataclasses import dataclass, field, replace
from functools import partial

from openenv_async.conformance.chaos import capacity, connection_loss, malformed_messages, misbehaving_clients
from openenv_async.conformance.chaos.isolation_probe import IsolationProbe
from openenv_async.conformance.findings import CheckOutcome, NotAnEnvironment, NotJudged, ServerReport
from openenv_async.conformance.runner import CheckInfo, Listener, OnBegin, Runner
from openenv_async.conformance.server import baseline
from openenv_async.conformance.server.context import ContextCheck, ServerContext
from openenv_async.conformance.server.endpoints import check_health, check_schema
from openenv_async.conformance.server.sessions import check_sessions
from openenv_async.conformance.target import ServerTarget, require_server
from openenv_async.errors import EnvError, ProtocolError
from openenv_async.protocol.frames import Hello
from openenv_async.transport.link import LinkClosed

MOST_CALL_S = 30.0
"""Seconds that one call may take at most; less where the whole run has little time."""

LEAST_CALL_S = 5.0
"""Seconds that a call may take on a server whose steps take none."""

ServerCheck = tuple[CheckInfo, ContextCheck]

_LOSES = "one bad message costs its sender the whole episode, and the steps already paid for"
_OTHERS = "one client, broken or malicious, takes the server away from every other rollout"
_LEAKS = "each worker that is killed keeps its slot, until the server is full and idle"


def _check(
    name: str,
    function: ContextCheck,
    tries: str,
    why: str,
    *,
    needs: tuple[str, ...] = ("play",),
    expected: str = "an answer",
    limit_s: float = 30.0,
) -> ServerCheck:
    return CheckInfo(name=name, needs=needs, tries=tries, expected=expected, why=why, limit_s=limit_s), function


CALM: tuple[ServerCheck, ...] = (
    _check(
        "health",
        lambda context: check_health(context.target),
        "asks /health",
        "a load balancer or a container platform treats the server as dead",
        needs=(),
        expected="an answer 200 whose status is healthy",
    ),
    _check(
        "schema",
        lambda context: check_schema(context.target, context.schemas),
        "asks /schema and makes actions from it",
        "clients and tools cannot know what an action looks like",
        needs=(),
        expected="JSON Schemas of action, observation and state",
    ),
    _check(
        "play",
        baseline.play,
        "resets, plays steps with those actions, reads the state",
        "nothing can be trained on it",
        needs=("schema",),
        expected="at least one of the actions made from the schema is played",
        limit_s=40.0,
    ),
    _check(
        "seed",
        baseline.seed,
        "plays the same seed and actions twice",
        "a run cannot be repeated, and two policies cannot be compared on the same episodes",
        limit_s=40.0,
    ),
    _check(
        "mixing",
        check_sessions,
        "plays two sessions at once and looks for one in the other",
        "rollouts learn from each other's episodes, and nothing in the data shows it",
        expected="each session sees its own episode alone",
        limit_s=40.0,
    ),
    _check(
        "wrong-action",
        baseline.wrong_action,
        "sends actions that do not fit the schema",
        "a mistake in the trainer's code is trained on instead of being found, or ends the episode",
        expected="an error that names what is wrong, and the session lives",
    ),
    _check("leaving", baseline.leaving, "leaves without closing, and requires the slot to be freed", _LEAKS),
    _check(
        "lost-socket",
        baseline.lost_socket,
        "loses the socket between two steps, and steps on",
        "the trainer goes on silently in a fresh environment: the trajectory it learns from never happened",
    ),
)
"""Checks that are safe for a server in use."""

# The one that leaks most comes last: it takes the slots that the others need.
CHAOS: tuple[ServerCheck, ...] = (
    _check(
        "capacity",
        capacity.capacity,
        "fills every slot, up to --max-sessions, and asks for one more",
        "a full server looks like a broken one, and a trainer cannot wait or go elsewhere",
        limit_s=40.0,
    ),
    _check(
        "capacity-back",
        capacity.capacity_back,
        "closes them all and fills the slots again",
        "the server holds fewer episodes after each wave of rollouts, until it holds none",
        limit_s=40.0,
    ),
    _check(
        "cut-json",
        connection_loss.cut_json,
        "cuts the socket in the middle of a step (FIN, RST), OpenEnv's JSON wire",
        "the trainer's episode goes on as if nothing had happened, in another environment",
    ),
    _check(
        "cut-native",
        connection_loss.cut_native,
        "cuts the socket in the middle of a step (FIN, RST), native wire",
        "the step is lost or played twice, and the trajectory differs from what the environment did",
    ),
    _check("garbage-text", malformed_messages.not_json, "sends what is not JSON", _LOSES),
    _check("garbage-object", malformed_messages.not_an_object, "sends JSON that is not an object", _LOSES),
    _check("garbage-type", malformed_messages.unknown_type, "sends a message of an unknown type", _LOSES),
    _check("garbage-keys", malformed_messages.unknown_keys, "sends a message with unknown keys", _LOSES),
    _check("garbage-binary", malformed_messages.binary, "sends a binary message on the JSON wire", _LOSES),
    _check("garbage-depth", malformed_messages.depth, "sends JSON nested 100,000 deep", _LOSES),
    _check("garbage-size", malformed_messages.size, "sends an action larger than the server accepts", _LOSES),
    _check(
        "garbage-native",
        malformed_messages.native,
        "sends text, noise and unknown frames on the native wire",
        _LOSES,
    ),
    _check(
        "garbage-utf8",
        malformed_messages.utf8,
        "sends a text frame that is not UTF-8",
        "the sender cannot tell its own mistake from a crash of the server",
    ),
    _check("truncated", misbehaving_clients.truncated, "sends truncated WebSocket frames and leaves", _OTHERS),
    _check("half-handshake", misbehaving_clients.half_handshake, "begins handshakes and leaves", _OTHERS),
    _check("slow-handshake", misbehaving_clients.slow_handshake, "sends handshakes one byte at a time", _OTHERS),
    _check("never-reads", misbehaving_clients.never_reads, "sends requests without reading any replies", _OTHERS),
    _check(
        "two-at-once",
        misbehaving_clients.two_at_once,
        "sends two requests without waiting",
        "an answer is paired with another step, and observations belong to the wrong actions",
    ),
    _check(
        "early-step",
        misbehaving_clients.early_step,
        "steps before the first reset, then resets",
        "a client that is too early loses its session instead of getting an error",
    ),
    _check(
        "close-twice",
        misbehaving_clients.close_twice,
        "closes a session twice",
        "a clean-up that runs twice, as they do, shows up as an error",
    ),
    _check(
        "seeds",
        misbehaving_clients.seeds,
        "plays one seed in several sessions at once",
        "an episode depends on what else the server does, so no run can be repeated",
        limit_s=40.0,
    ),
    _check(
        "leaving-midstep",
        capacity.leaving_midstep,
        "leaves in the middle of a step, 20 times, and counts the slots that are freed",
        _LEAKS,
        limit_s=60.0,
    ),
)
"""Checks of `--chaos`, during which the `neighbour` plays."""

NEIGHBOUR = CheckInfo(
    name="neighbour",
    needs=("play",),
    tries="plays an honest session in parallel to all of it",
    why="another client's faults cost this trainer its episodes, or its time",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """How far a check goes."""

    chaos: bool = False
    """Misbehave too; not for a server that others depend on."""

    timeout_s: float = 120.0
    """Seconds for everything."""

    max_sessions: int = 64
    """Sessions held at once at most."""

    token: str | None = field(default=None, repr=False)
    listener: Listener | None = None
    on_begin: OnBegin | None = None


def ids(*, chaos: bool) -> list[str]:
    """Return the ids of a run's checks, in order."""
    calm = [info.name for info, _ in CALM]
    return [*calm, *(info.name for info, _ in CHAOS), NEIGHBOUR.name] if chaos else calm


async def check_server(url: str, options: CheckOptions, report: ServerReport | None = None) -> ServerReport:
    """Check a running server, of this runtime or of any other that speaks OpenEnv.

    Args:
        url: its base URL.
        options: how far to go.
        report: filled as findings are made, for a caller that may be interrupted; by default a new one.

    Raises:
        NotAnEnvironment: nothing answers there, or something else does.
        Unauthorized: it needs a token.
        CancelledError: every session is closed, and the report has what was found so far.
    """
    report = report or ServerReport(target=url, chaos=options.chaos)
    began = time.monotonic()
    call_s = min(MOST_CALL_S, max(1.0, options.timeout_s / 6))
    target = ServerTarget(url=url, token=options.token, call_timeout_s=call_s)
    context = ServerContext(target, most_sessions=max(2, options.max_sessions))
    try:
        await require_server(target)
        context.hello = await _hello(target)
        report.wires = list(context.wires)
        report.features = [] if context.hello is None else sorted(context.hello.features)
        with warnings.catch_warnings():
            # Clients warn when a server did not do as asked; here that is a finding.
            warnings.simplefilter("ignore")
            await _run(context, report, options)
        report.complete = True
    finally:
        report.duration_s = time.monotonic() - began
    return report


async def _run(context: ServerContext, report: ServerReport, options: CheckOptions) -> None:
    runner = Runner(
        report,
        options.timeout_s,
        undecided="skipped",
        listener=options.listener,
        on_begin=options.on_begin,
        is_gone=lambda: baseline.unreachable(context),
    )
    for info, function in CALM:
        held = await runner.run(info, partial(function, context))
        if info.name == "play" and held:
            runner.slowness_s = 60 * context.step_s
            call_s = max(LEAST_CALL_S, 20 * context.step_s)
            context.target = replace(context.target, call_timeout_s=min(call_s, context.target.call_timeout_s))
    report.max_sessions = (await context.occupancy()).most
    if context.actions:
        try:
            report.latency = await baseline.measure(context)
        except (NotJudged, EnvError, LinkClosed, OSError):
            # Latency is only information; what is wrong was found above.
            report.latency = None
    if options.chaos:
        await _cause_chaos(context, report, runner)


async def _hello(target: ServerTarget) -> Hello | None:
    try:
        async with asyncio.timeout(target.call_timeout_s):
            return await target.hello()
    except (TimeoutError, ProtocolError) as error:
        text = f"the server at {target.url} accepts the native wire and does not speak it: {error or 'no hello came'}"
        raise NotAnEnvironment(text) from None


async def _cause_chaos(context: ServerContext, report: ServerReport, runner: Runner) -> None:
    probe = IsolationProbe(context, lambda: runner.current)
    if context.actions:
        await probe.start()
    try:
        for info, function in CHAOS:
            await runner.run(info, partial(capacity.frees_slots(function), context))
            if report.max_sessions is None and info.name == "capacity":
                report.max_sessions = None if context.capacity is None else context.capacity + probe.present
    finally:
        await probe.stop()
    report.neighbour = probe.latency

    async def outcome() -> CheckOutcome:
        return probe.outcome()

    await runner.run(NEIGHBOUR, outcome)
