"""Clients that misbehave: too early, twice, too fast, too slow, or gone halfway."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from openenv_async.conformance.findings import CheckOutcome, NotJudged, PromiseBroken
from openenv_async.conformance.server.context import ServerContext, close_client
from openenv_async.conformance.server.episodes import Moment, look, play_on
from openenv_async.conformance.server.raw_socket import (
    CUTS,
    RESERVED,
    TEXT,
    Endpoint,
    cut,
    error_in,
    frame,
    open_socket,
    read_object,
    request,
)
from openenv_async.conformance.target import SEED
from openenv_async.errors import CapacityError, EnvError
from openenv_async.results import StepResult
from openenv_async.transport.link import LinkClosed

_SLOW = 10
"""Handshakes sent one byte at a time, all at once."""

_BYTE_EVERY_S = 0.05
_HALVES = 6
_UNREAD = 2000
"""Requests sent by a client that reads no replies."""

_SEEDED = 4
_UNAFFECTED = "other clients were unaffected"


async def truncated(context: ServerContext) -> CheckOutcome:
    """Send frames that are never finished, and invalid ones."""
    frames = (
        frame(TEXT, b'{"type":"st', announced=1000),
        frame(TEXT, b"", announced=2**40),
        frame(TEXT, b"x")[:3],
        frame(RESERVED, b"reserved"),
        frame(TEXT, b'{"type":"state"}').replace(b"\x90", b"\x10", 1),  # not masked, as only a server may send it
    )
    for number, half in enumerate(frames):
        async with context.session() as raw:
            raw.write(half)
            await asyncio.sleep(0)
            raw.cut(CUTS[number % 2])
    await _serves_others(context, "truncated frames")
    return CheckOutcome(f"{len(frames)} truncated or invalid frames cost only their own connections; {_UNAFFECTED}")


async def half_handshake(context: ServerContext) -> CheckOutcome:
    """Begin handshakes and leave, or send what is not a handshake at all."""
    endpoint = Endpoint(context.target.url)
    opening = _handshake(endpoint, context.target.token)
    for number in range(_HALVES):
        _, writer = await endpoint.connect()
        writer.write(b"\x16\x03\x01\x00\xff" * 9 if number == 0 else opening[: len(opening) * number // _HALVES])
        await asyncio.sleep(0)
        cut(writer, CUTS[number % 2])
    await _serves_others(context, "unfinished handshakes")
    return CheckOutcome(f"{_HALVES} handshakes were left in the middle; {_UNAFFECTED}")


async def slow_handshake(context: ServerContext) -> CheckOutcome:
    """Keep slow handshakes going while an honest session is played."""
    async with _slow_ones(context):
        await _serves_others(context, f"{_SLOW} slow handshakes", rounds=3)
    return CheckOutcome(f"{_UNAFFECTED} by {_SLOW} handshakes sent one byte at a time")


@asynccontextmanager
async def _slow_ones(context: ServerContext) -> AsyncIterator[None]:
    endpoint = Endpoint(context.target.url)
    opening = _handshake(endpoint, context.target.token)

    async def dribble(writer: asyncio.StreamWriter) -> None:
        for at in range(len(opening)):
            writer.write(opening[at : at + 1])
            await asyncio.sleep(_BYTE_EVERY_S)

    writers = [(await endpoint.connect())[1] for _ in range(_SLOW)]
    tasks = [asyncio.ensure_future(dribble(writer)) for writer in writers]
    try:
        await asyncio.sleep(_BYTE_EVERY_S * 4)  # until they have begun
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            cut(writer, "RST")


def _handshake(endpoint: Endpoint, token: str | None) -> bytes:
    key = base64.b64encode(bytes(16)).decode()
    lines = [
        f"GET {endpoint.prefix}/ws HTTP/1.1",
        f"Host: {endpoint.name}",
        "Upgrade: websocket",
        "Connection: Upgrade",
    ]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode()


async def never_reads(context: ServerContext) -> CheckOutcome:
    """Send requests without reading any replies, while an honest session is played."""
    if context.capacity == 1:
        raise NotJudged("the server holds one session at a time")
    async with context.session() as raw:
        raw.write(frame(TEXT, request("state").encode()) * _UNREAD)
        await asyncio.sleep(0)
        await _serves_others(context, "a client that does not read", rounds=3)
        raw.cut("RST")
    await _serves_others(context, "a client that did not read")
    return CheckOutcome(f"{_UNAFFECTED} by one that sent {_UNREAD:,} requests and read no replies")


async def _serves_others(context: ServerContext, others: str, rounds: int = 1) -> None:
    """Play an honest session.

    Raises:
        PromiseBroken: it is not served, or has to wait for clients that misbehave.
    """
    expected = "other clients are unaffected"
    limit_s = context.patience_s * (1 + rounds)
    try:
        async with asyncio.timeout(limit_s):
            async with context.session() as raw:
                for number in range(rounds):
                    await raw.ask(request("step", context.actions[number % len(context.actions)]))
                await raw.close()
    except TimeoutError:
        raise PromiseBroken(expected, f"with {others}, an honest session was not served within {limit_s:g} s") from None
    except (EnvError, LinkClosed, OSError) as error:
        raise PromiseBroken(expected, f"with {others}, an honest session got {type(error).__name__}: {error}") from None


async def two_at_once(context: ServerContext) -> CheckOutcome:
    """Send a state and a step together, whose answers cannot be mistaken for each other."""
    expected = "one answer to each, in the order of the requests"
    async with context.session() as raw:
        raw.write(frame(TEXT, request("state").encode()) + frame(TEXT, request("step", context.actions[0]).encode()))
        try:
            kinds = [str(read_object(await raw.receive()).get("type")) for _ in range(2)]
            after = str((await raw.ask(request("state"))).get("type"))
        except (LinkClosed, EnvError) as error:
            raise PromiseBroken(expected, f"{type(error).__name__}: {error}") from None
    if "error" in kinds and kinds[0] != "observation":
        return CheckOutcome(f"a session does one thing at a time, and says so: {', '.join(kinds)}")
    if kinds != ["state", "observation"] or after != "state":
        raise PromiseBroken(
            expected, f"state and step were answered by {', '.join(kinds)}, and a state after them by {after}"
        )
    return CheckOutcome("both are answered, in their order")


async def early_step(context: ServerContext) -> CheckOutcome:
    """Step on a session without an episode; then everything goes on as usual."""
    expected = "an answer of any kind, and a reset that works after it"
    raw = await open_socket(context.target)
    try:
        said = await raw.ask(request("step", context.actions[0]))
        if said.get("type") == "error" and isinstance(error_in(said), CapacityError):
            raise NotJudged("the server has no slot for a session")
        await raw.call("reset", {"seed": SEED})
        await raw.call("step", context.actions[0])
    except LinkClosed as error:
        raise PromiseBroken(expected, f"the session ended: {error.reason} (close code {error.code})") from None
    finally:
        raw.cut("FIN")
    answer = f"refused ({error_in(said).code})" if said.get("type") == "error" else "played"
    return CheckOutcome(f"the early step was {answer}, and the session went on with a reset")


async def close_twice(context: ServerContext) -> CheckOutcome:
    """Close a session twice, then begin another."""
    async with context.session() as raw:
        raw.write(frame(TEXT, request("close").encode()) * 2)
        code = await raw.until_closed()
    if code not in (1000, 1001, 1005, 1006):
        said = "did not close" if code == 0 else f"closed with code {code}"
        raise PromiseBroken("a session that ends as after one close", f"the server {said}")
    await _serves_others(context, "a session closed twice")
    return CheckOutcome("the session ended as after one close")


async def seeds(context: ServerContext) -> CheckOutcome:
    """Play the reference episode in several sessions, a step of each in turn."""
    if not context.repeatable:
        raise NotJudged("the same seed does not repeat an episode here even alone: see seed")
    wanted = _SEEDED if context.capacity is None else min(_SEEDED, context.capacity - 1)
    if wanted < 2:
        raise NotJudged("the server holds too few sessions for it")
    async with AsyncExitStack() as stack:
        episodes: list[list[Moment]] = [[] for _ in range(wanted)]
        clients = []
        for episode in episodes:
            client = await context.open_client("json")
            stack.push_async_callback(close_client, client)
            clients.append(client)
            result: StepResult[object] = await client.reset(seed=SEED)
            episode.append(await look(client, result))
        actions = (context.actions * len(context.reference))[: len(context.reference) - 1]
        for action in actions:
            pairs = zip(clients, episodes, strict=True)
            await asyncio.gather(*(play_on(client, episode, [action]) for client, episode in pairs))
    for number, episode in enumerate(episodes, 1):
        if differs := context.differs_from_reference(episode):
            raise PromiseBroken(
                "the same episode in each", f"session {number} of {wanted} saw something else at {differs}"
            )
    return CheckOutcome(f"{wanted} sessions at once, and each saw the episode of that seed")
