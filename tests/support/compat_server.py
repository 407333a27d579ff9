"""A server in a thread with an event loop of its own, and clients as environments for OpenEnv write them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.env_client import EnvClient
from openenv_async.server.runner import ServeOptions, serve
from support.play_env import Execution, play_app
from support.servers import BOUND_S, Journal


class Doorman:
    """Keeps what every request and connection came with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            query = scope["query_string"].decode()
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            self.seen.append((scope["path"] + (f"?{query}" if query else ""), headers))
        await self._app(scope, receive, send)


@dataclass
class World:
    url: str
    journal: Journal
    door: Doorman

    def until(self, what: str, times: int = 1) -> None:
        assert self.journal._wait(what, times), f"{what} did not happen {times} times"


@contextlib.contextmanager
def world(
    execution: Execution = "inline", app: ASGIApp | None = None, port: int = 0, **options: Any
) -> Iterator[World]:
    journal = Journal()
    door = Doorman(app if app is not None else play_app(journal, execution, **options))
    ready: Future[str] = Future()
    stop: Future[None] = Future()

    async def run() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.add_done_callback(lambda _: loop.call_soon_threadsafe(stopping.set))
        try:
            await serve(
                door,
                bind=[("127.0.0.1", port)],
                options=ServeOptions(grace_s=0.5, linger_s=0.5),
                ready=lambda urls: ready.set_result(urls[0]),
                stop=stopping,
            )
        except BaseException as exc:
            if not ready.done():
                ready.set_exception(exc)
            raise

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="test server")
    thread.start()
    try:
        yield World(ready.result(BOUND_S), journal, door)
    finally:
        stop.set_result(None)
        thread.join(BOUND_S)
        assert not thread.is_alive()


@dataclass
class Add:
    n: int = 0
    op: str = "add"


@dataclass
class Total:
    total: int


class PlayClient(EnvClient[Add, Total, dict[str, Any]]):
    """As OpenEnv's guide writes one."""

    def _step_payload(self, action: Add) -> dict[str, Any]:
        return {"n": action.n, "op": action.op}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[Total]:
        return StepResult(
            observation=Total(payload["observation"]["total"]),
            reward=payload.get("reward"),
            done=payload.get("done", False),
        )

    def _parse_state(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"so far": payload["total"]}
