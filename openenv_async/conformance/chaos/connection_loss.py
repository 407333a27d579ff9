"""Connections that are cut in the middle of a step, on each wire that the server speaks.

An honest client plays through a proxy. A call must end with its one result or with
`SessionLost`, after which only a reset works. The reference episode shows whether a step
was played once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from openenv_async.client.options import WireChoice
from openenv_async.conformance.chaos.tcp_proxy import TcpProxy, tcp_proxy
from openenv_async.conformance.findings import CheckOutcome, NotJudged, PromiseBroken
from openenv_async.conformance.server.context import ServerContext, close_client
from openenv_async.conformance.server.episodes import Moment, counts_steps, look, play_on
from openenv_async.conformance.server.raw_socket import CUTS, Cut
from openenv_async.conformance.target import SEED, Client
from openenv_async.errors import EnvError, SessionLost
from openenv_async.results import StepResult

_LOST = "SessionLost from the step and from every call after it, until a reset"
_ONCE = "the session is resumed, and the step is played exactly once"


async def cut_json(context: ServerContext) -> CheckOutcome:
    """Cut connections of the JSON wire, whose sessions cannot be resumed."""
    return await _cut_each(context, "json")


async def cut_native(context: ServerContext) -> CheckOutcome:
    """Cut connections of the native wire."""
    if context.hello is None:
        raise NotJudged("the server does not speak the native wire")
    return await _cut_each(context, "native")


async def _cut_each(context: ServerContext, wire: WireChoice) -> CheckOutcome:
    resumes = wire == "native" and context.resumes
    for how in CUTS:
        for answered in (True, False):
            async with tcp_proxy(context.target.url) as proxy:
                await _cut_one(context, proxy, wire, how, answered=answered, resumes=resumes)
    if not resumes:
        return CheckOutcome(
            "cut by FIN and by RST, before and after the answer: the client is told that its session is lost"
        )
    once = "each step was played once" if context.tells_steps_apart() else "how often a step was played cannot be seen"
    return CheckOutcome(f"cut by FIN and by RST, before and after the answer: resumed each time, and {once}")


async def _cut_one(
    context: ServerContext, proxy: TcpProxy, wire: WireChoice, how: Cut, *, answered: bool, resumes: bool
) -> None:
    """Play, cut one step, and play on.

    Args:
        context: of the server.
        proxy: whose connections are cut.
        wire: to speak.
        how: to cut.
        answered: the server has answered, and the answer is lost; otherwise the cut follows the request at once.
        resumes: the server says that it does.
    """
    client = await context.open_client(wire, proxy.url)
    try:
        actions = (context.actions * 4)[:4]
        reset = await client.reset(seed=SEED)
        moments = [await look(client, reset)]
        await play_on(client, moments, actions[:1])
        if moments[-1].done:
            raise NotJudged("the environment's episodes are over after one step")
        where = f"{how} {'after' if answered else 'before'} the answer"
        outcome = await _step_and_cut(context, proxy, client, actions[1], how, answered=answered)
        if isinstance(outcome, StepResult):
            moments.append(await look(client, outcome))
            await play_on(client, moments, actions[2:])
            _judge_resumed(context, moments, where)
        elif isinstance(outcome, SessionLost):
            if resumes:
                raise PromiseBroken(_ONCE, f"{where}: {outcome}")
            await _judge_lost(context, client, actions[1], where)
        else:
            raise PromiseBroken(_ONCE if resumes else _LOST, f"{where}: {type(outcome).__name__}: {outcome}")
    finally:
        await close_client(client)


async def _step_and_cut(
    context: ServerContext, proxy: TcpProxy, client: Client, action: Any, how: Cut, *, answered: bool
) -> StepResult[Any] | EnvError:
    proxy.swallow()
    step = asyncio.ensure_future(client.step(action))
    try:
        happened = proxy.answered if answered else proxy.asked
        await happened(context.patience_s)
        proxy.cut(how)
        return await step
    except EnvError as error:
        return error
    finally:
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)


def _judge_resumed(context: ServerContext, moments: list[Moment], where: str) -> None:
    """Judge an episode whose second step was cut."""
    if context.repeatable and (differs := context.differs_from_reference(moments, "native")):
        raise PromiseBroken(_ONCE, f"{where}: the episode differs from the reference at {differs}")
    if counts_steps(moments[:2]) and not counts_steps(moments):
        counts = ", ".join(str(moment.state.get("step_count")) for moment in moments)
        raise PromiseBroken(_ONCE, f"{where}: the state counts steps {counts}")


async def _judge_lost(context: ServerContext, client: Client, action: Any, where: str) -> None:
    calls: dict[str, Callable[[], Awaitable[Any]]] = {"step": lambda: client.step(action), "state": client.state}
    for name, call in calls.items():
        try:
            await call()
        except SessionLost:
            continue
        raise PromiseBroken(_LOST, f"{where}: the next {name}() was answered as if nothing had happened")
    await context.when_free(lambda: client.reset(seed=SEED))
