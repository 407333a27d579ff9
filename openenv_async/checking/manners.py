"""Clients without manners: too early, twice, too fast, too slow, or gone halfway."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from openenv_async.checking.episodes import Moment, look, play_on
from openenv_async.checking.sockets import CUTS, RESERVED, TEXT, Place, cut, error_in, frame, open_socket, request
from openenv_async.checking.verdicts import Broke, NotJudged
from openenv_async.checking.world import World, end
from openenv_async.errors import CapacityError, EnvError
from openenv_async.results import StepResult
from openenv_async.transport.link import LinkClosed
from openenv_async.validation.playing import SEED

_SLOW = 10
"""Handshakes made a byte at a time, all at once."""

_BYTE_EVERY_S = 0.05
_HALVES = 6
_UNREAD = 2000
"""Requests sent by a client that reads no answer."""

_SEEDED = 4
_SERVED = "others are served as before"


async def truncated(world: World) -> str:
    """Send frames whose ends never come, and frames that mean nothing."""
    frames = (
        frame(TEXT, b'{"type":"st', announced=1000),
        frame(TEXT, b"", announced=2**40),
        frame(TEXT, b"x")[:3],
        frame(RESERVED, b"reserved"),
        frame(TEXT, b'{"type":"state"}').replace(b"\x90", b"\x10", 1),  # not masked, as only servers may send
    )
    for number, half in enumerate(frames):
        async with world.socket() as raw:
            raw.write(half)
            await asyncio.sleep(0)
            raw.cut(CUTS[number % 2])
    await _serves_others(world, "half frames")
    return f"{len(frames)} half or meaningless frames cost their own connections, and {_SERVED}"


async def half_handshake(world: World) -> str:
    """Begin handshakes and leave, or say what is no handshake at all."""
    place = Place(world.subject.url)
    opening = _handshake(place, world.subject.token)
    for number in range(_HALVES):
        _, writer = await place.connect()
        writer.write(b"\x16\x03\x01\x00\xff" * 9 if number == 0 else opening[: len(opening) * number // _HALVES])
        await asyncio.sleep(0)
        cut(writer, CUTS[number % 2])
    await _serves_others(world, "half handshakes")
    return f"{_HALVES} handshakes were left in the middle, and {_SERVED}"


async def slow_handshake(world: World) -> str:
    """Keep slow handshakes going while an honest session is played."""
    async with _slow_ones(world):
        await _serves_others(world, f"{_SLOW} slow handshakes", rounds=3)
    return f"beside {_SLOW} handshakes of a byte at a time, {_SERVED}"


@asynccontextmanager
async def _slow_ones(world: World) -> AsyncIterator[None]:
    place = Place(world.subject.url)
    opening = _handshake(place, world.subject.token)

    async def dribble(writer: asyncio.StreamWriter) -> None:
        for at in range(len(opening)):
            writer.write(opening[at : at + 1])
            await asyncio.sleep(_BYTE_EVERY_S)

    writers = [(await place.connect())[1] for _ in range(_SLOW)]
    tasks = [asyncio.ensure_future(dribble(writer)) for writer in writers]
    try:
        await asyncio.sleep(_BYTE_EVERY_S * 4)  # they are under way
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            cut(writer, "RST")


def _handshake(place: Place, token: str | None) -> bytes:
    key = base64.b64encode(bytes(16)).decode()
    lines = [f"GET {place.prefix}/ws HTTP/1.1", f"Host: {place.name}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode()


async def never_reads(world: World) -> str:
    """Ask for states without reading any, and play an honest session meanwhile."""
    if world.places == 1:
        raise NotJudged("the server holds one session at a time")
    async with world.socket() as raw:
        raw.write(frame(TEXT, request("state").encode()) * _UNREAD)
        await asyncio.sleep(0)
        await _serves_others(world, "a client that does not read", rounds=3)
        raw.cut("RST")
    await _serves_others(world, "a client that did not read")
    return f"beside a client with {_UNREAD:,} requests and no eye for the answers, {_SERVED}"


async def _serves_others(world: World, beside: str, rounds: int = 1) -> None:
    """Play an honest session.

    Raises:
        Broke: it is not served, or has to wait for those who misbehave.
    """
    limit_s = world.patience_s * (1 + rounds)
    try:
        async with asyncio.timeout(limit_s):
            async with world.socket() as raw:
                for number in range(rounds):
                    await raw.ask(request("step", world.actions[number % len(world.actions)]))
                await raw.close()
    except TimeoutError:
        raise Broke(_SERVED, f"beside {beside}, an honest session was not served within {limit_s:g} s") from None
    except (EnvError, LinkClosed, OSError) as error:
        raise Broke(_SERVED, f"beside {beside}, an honest session met {type(error).__name__}: {error}") from None


async def two_at_once(world: World) -> str:
    """Send a state and a step together, whose answers cannot be mistaken for each other."""
    expected = "one answer to each, in the order of the requests"
    async with world.socket() as raw:
        raw.write(frame(TEXT, request("state").encode()) + frame(TEXT, request("step", world.actions[0]).encode()))
        try:
            kinds = [str(raw.read(await raw.receive()).get("type")) for _ in range(2)]
            after = str((await raw.ask(request("state"))).get("type"))
        except (LinkClosed, EnvError) as error:
            raise Broke(expected, f"{type(error).__name__}: {error}") from None
    if "error" in kinds and kinds[0] != "observation":
        return f"a session does one thing at a time, and says so: {', '.join(kinds)}"
    if kinds != ["state", "observation"] or after != "state":
        raise Broke(expected, f"state and step were answered by {', '.join(kinds)}, and a state after them by {after}")
    return "both are answered, in their order"


async def early_step(world: World) -> str:
    """Step on a session without an episode; then everything goes on as usual."""
    expected = "an answer of any kind, and a reset that works after it"
    raw = await open_socket(world.subject)
    try:
        said = await raw.ask(request("step", world.actions[0]))
        if said.get("type") == "error" and isinstance(error_in(said), CapacityError):
            raise NotJudged("there is no place for a session")
        await raw.call("reset", {"seed": SEED})
        await raw.call("step", world.actions[0])
    except LinkClosed as error:
        raise Broke(expected, f"the session ended: {error.reason} (close code {error.code})") from None
    finally:
        raw.cut("FIN")
    answer = f"refused ({error_in(said).code})" if said.get("type") == "error" else "played"
    return f"the early step was {answer}, and the session went on with a reset"


async def close_twice(world: World) -> str:
    """Say goodbye twice, then begin another session."""
    async with world.socket() as raw:
        raw.write(frame(TEXT, request("close").encode()) * 2)
        code = await raw.until_closed()
    if code not in (1000, 1001, 1005, 1006):
        said = "did not close" if code == 0 else f"closed with code {code}"
        raise Broke("a session that ends as after one close", f"the server {said}")
    await _serves_others(world, "a session closed twice")
    return "the session ended as after one close"


async def seeds(world: World) -> str:
    """Play the reference episode in several sessions, a step of each in turn."""
    if not world.repeatable:
        raise NotJudged("the same seed does not give the same episode here even alone: see seed")
    wanted = _SEEDED if world.places is None else min(_SEEDED, world.places - 1)
    if wanted < 2:
        raise NotJudged("the server holds too few sessions for it")
    async with AsyncExitStack() as stack:
        episodes: list[list[Moment]] = [[] for _ in range(wanted)]
        clients = []
        for episode in episodes:
            client = await world.good_client("json")
            stack.push_async_callback(end, client)
            clients.append(client)
            result: StepResult[object] = await client.reset(seed=SEED)
            episode.append(await look(client, result))
        actions = (world.actions * len(world.reference))[: len(world.reference) - 1]
        for action in actions:
            pairs = zip(clients, episodes, strict=True)
            await asyncio.gather(*(play_on(client, episode, [action]) for client, episode in pairs))
    for number, episode in enumerate(episodes, 1):
        if differs := world.same(episode):
            raise Broke("the same episode in each", f"session {number} of {wanted} saw something else at {differs}")
    return f"{wanted} sessions at once, and each saw the episode of that seed"
