"""Our client, typed, async and through `SyncEnv`."""

from __future__ import annotations

import asyncio
import importlib.util
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.drivers import load, speech

# The harness asks for the loop by name: `uvloop` is what a server and the command line use wherever it is
# installed, and a trainer gets it with one line.
LOOPS = ("uvloop", "asyncio")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Give the event loop that is asked for."""
    if name == "uvloop" and importlib.util.find_spec("uvloop") is not None:
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def classes(kind: str) -> tuple[Any, Any, Any]:
    """Give action, observation and state class; imported here so that an echo does not load numpy."""
    from openenv_async import State

    if kind == "echo":
        from benchmarks.environments.ours.echo import EchoAction, EchoObservation

        return EchoAction, EchoObservation, State
    if kind == "cartpole":
        from benchmarks.environments.ours.cartpole import CartObservation, PushAction

        return PushAction, CartObservation, State
    from benchmarks.environments.ours import models

    return models.PayloadAction, models.BytesObservation if kind == "bytes" else models.ArrayObservation, State


def typed(base: Any, kind: str) -> Any:
    """Make the class that a trainer writes: `class MyEnv(AsyncEnv[MyAction, MyObservation, State])`."""
    return types.new_class("BenchClient", (base[classes(kind)],))


def checks(kind: str, size: int) -> Callable[[Any, int], None]:
    """Give the test of a run's last result."""

    def check(result: Any, played: int) -> None:
        if kind == "cartpole":
            assert len(result.observation.cart) == 4
            return
        assert result.observation.count == played, f"step {played} came back as {result.observation.count}"
        if kind == "echo":
            assert result.observation.message == "hello"
        else:
            assert len(result.observation.data) == size

    return check


def main() -> None:
    """Drive as the options say."""
    options = speech.options()
    kind: str = options["kind"]
    action_cls = classes(kind)[0]
    check = checks(kind, options["size"])
    known: dict[str, dict[str, Any]] = {"echo": {"message": "hello"}, "cartpole": {"push": 1}}
    action = action_cls(**known.get(kind, {"size": options["size"]}))

    if options["blocking"]:
        from openenv_sync import SyncEnv

        client = typed(SyncEnv, kind)(base_url=options["url"])
        client.connect()
        client.reset()
        load.drive_blocking(load.Session(partial(client.step, action), check, client.close), loop="its own")
        return

    from openenv_async import AsyncEnv

    if options.get("link") == "httpx-ws":
        from openenv_async.client import pool
        from openenv_async.transport.proxy_client import open_proxy_link

        vars(pool)["connect_link"] = open_proxy_link

    client_class = typed(AsyncEnv, kind)

    async def opener() -> load.Session:
        client = client_class(base_url=options["url"])
        await client.connect()
        await client.reset()
        return load.Session(partial(client.step, action), check, client.close)

    factory = loop_factory(options["loop"])
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(load.drive(opener, options["sessions"], loop=factory.__module__.partition(".")[0]))


if __name__ == "__main__":
    speech.run(main)
