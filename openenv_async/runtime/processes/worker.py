"""A session's process at work: requests in, the environment's methods, replies out.

One session has the main thread: a plain environment is called right where the
message is read, with nothing in between; an `async def` one gets an event loop there.
Several sessions share an event loop, and their environments run on it or in threads,
by the same executors as in a server without processes; `seats` has that part.
"""

from __future__ import annotations

import logging
import socket
from typing import NoReturn

import msgspec

from openenv_async.errors import EnvError, FactoryError
from openenv_async.protocol.failures import new_error_id
from openenv_async.runtime.atwork import SESSION
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.executors.inline import InlineExecutor
from openenv_async.runtime.host import Host
from openenv_async.runtime.processes import birth, logs, messages
from openenv_async.runtime.processes.line import Line, leave
from openenv_async.runtime.processes.messages import Facts, Kind, Opening, Request
from openenv_async.runtime.processes.recipe import Recipe
from openenv_async.runtime.processes.seats import Seats
from openenv_async.tracing import run_under

logger = logging.getLogger("openenv_async")


def work(sock: socket.socket, recipe: Recipe) -> NoReturn:
    """Serve the sessions that come over `sock`; the process ends with the last one, or with the server."""
    line = Line(sock)
    logs.install(recipe.log_level, line.log)
    try:
        # Before a session asks for it: an import may take long.
        blueprint = recipe.load()
    except BaseException as exc:  # the author's module may raise anything
        failure = _import_failed(exc)
        line.fail(failure, line.receive())
        line.receive()
        leave()
    first = line.receive()
    if recipe.options.sessions_per_process > 1:
        birth.apply_limits(birth.limits_of(blueprint.factory, recipe.options))
        seats = Seats(line, blueprint, alone=False)
        seats.serve(lambda: seats.take(first))
    else:
        _serve_one(line, blueprint, recipe, first)
    leave()


def _import_failed(exc: BaseException) -> FactoryError:
    error_id = new_error_id()
    logger.error("the environment's code cannot be imported [error %s]", error_id, exc_info=exc)
    return FactoryError(
        "the environment's code cannot be imported in a process of its own",
        exception_type=type(exc).__name__,
        error_id=error_id,
    )


def _serve_one(line: Line, blueprint: Blueprint, recipe: Recipe, first: Request) -> None:
    opening = msgspec.msgpack.decode(first.payload, type=Opening)
    SESSION.set(opening.session_id)
    line.send(messages.reply(Kind.BEGUN, first.seat, 0, None))
    limits = birth.limits_of(blueprint.factory, recipe.options)
    birth.apply_limits(limits)
    host = Host(blueprint, opening.session_id)
    try:
        host.create()
    except EnvError as exc:
        line.fail(exc, first)
        line.receive()
        return
    # The environments of a function say for themselves what their class declares.
    own = birth.limits_of(host.environment, recipe.options)
    if own != limits:
        birth.apply_limits(own)
    if host.is_async:
        seats = Seats(line, blueprint, alone=True)
        executor = InlineExecutor(host, None, opening.session_id)
        seats.serve(lambda: seats.seat(first.seat, opening, executor))
    else:
        line.send(messages.reply(Kind.OPENED, first.seat, 0, Facts(False, host.step_timeout_s)))
        _play(line, host, opening, first.seat)


def _play(line: Line, host: Host, opening: Opening, seat: int) -> None:
    """Call, answer, call: one receive and one send each."""
    while True:
        asked = line.receive()
        if asked.op == messages.CLOSE:
            host.close_blocking()
            line.closed(seat)
            return
        if asked.op == messages.CANCEL:
            # It came after the call had ended: one at work in this thread cannot hear it.
            continue
        try:
            outcome = (
                run_under(asked.trace, host.perform_blocking, asked.call)
                if asked.trace
                else host.perform_blocking(asked.call)
            )
        except Exception as exc:  # the peer is told; a bug of ours is logged on its way
            line.fail(exc, asked)
        else:
            line.answer(outcome, opening, asked)
