"""A small server of OpenEnv's JSON wire that keeps every promise but one: `python bad_server.py SIN`.

Written without the runtime, so that what `openenv check` says of it is about the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from typing import Any

from openenv_async.server.runner import ServeOptions, serve

PLACES = 6

SINS = {
    "none": "keeps every promise",
    "fresh": "plays a step without a reset in a fresh environment, and says nothing",
    "dies": "exits when it gets what is no JSON",
    "ends": "ends the session that gets what is no JSON",
    "leaks": "keeps the place of a client that left without closing",
    "mixes": "keeps the episode in one place for all sessions",
    "hangs": "lets everybody wait while it refuses a message with unknown keys",
    "random": "ignores the seed",
    "lax": "plays whatever it gets as an action",
    "mute": "refuses one session too many without a word",
    "deaf": "never answers a binary message",
    "counts": "says how many sessions it has, and keeps the place of one that sent a binary message",
    "swaps": "answers the later of two requests first",
}

_OBJECT = {"type": "object", "properties": {}}
_ACTION = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
_KEYS = {"reset": {"type", "data"}, "step": {"type", "data"}, "state": {"type"}, "close": {"type"}}


class Refused(Exception):
    """An error frame."""


class Leave(Exception):
    """The session is over."""


class Episode:
    def __init__(self) -> None:
        self.random = random.Random()
        self.count = 0
        self.begun = False


class BadServer:
    def __init__(self, sin: str) -> None:
        self.sin = sin
        self.active = 0
        self.shared = Episode()
        self.odd = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            await self._http(scope["path"], send)
        elif (await receive())["type"] == "websocket.connect":
            await self._session(receive, send)

    async def _http(self, path: str, send: Any) -> None:
        answers = {
            "/health": {"status": "healthy"},
            "/capacity": {"active": self.active, "max": PLACES},
            "/schema": {"action": _ACTION, "observation": _OBJECT, "state": _OBJECT},
        }
        if self.sin != "counts":
            del answers["/capacity"]
        status = 200 if path in answers else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answers.get(path)).encode()})

    async def _session(self, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        if self.active >= PLACES:
            if self.sin != "mute":
                await self._say(send, _error("CAPACITY_REACHED", f"{self.active} of {PLACES} sessions"))
            await send({"type": "websocket.close", "code": 1013})
            return
        self.active += 1
        closed = False
        try:
            closed = await self._play(receive, send)
        finally:
            if not self._keeps(closed):
                self.active -= 1
        if closed:
            await send({"type": "websocket.close", "code": 1000})

    def _keeps(self, closed: bool) -> bool:
        if self.sin == "counts" and self.odd:
            self.odd -= 1
            return True
        return self.sin == "leaks" and not closed

    async def _play(self, receive: Any, send: Any) -> bool:
        episode = self.shared if self.sin == "mixes" else Episode()
        held: list[str] = []
        while (event := await receive())["type"] != "websocket.disconnect":
            try:
                answer = self._answer(episode, event)
            except Refused as error:
                answer = _error(*error.args)
            except Leave:
                return True
            if self.sin == "deaf" and event.get("text") is None:
                continue
            if self.sin == "swaps" and not held:
                held.append(answer)
                asyncio.get_running_loop().call_later(0.02, lambda: asyncio.ensure_future(self._flush(send, held)))
                continue
            await self._say(send, answer)
        return False

    async def _flush(self, send: Any, held: list[str]) -> None:
        while held:
            await self._say(send, held.pop())

    async def _say(self, send: Any, text: str) -> None:
        await send({"type": "websocket.send", "text": text})

    def _answer(self, episode: Episode, event: Any) -> str:
        if event.get("text") is None:
            self.odd += 1
            raise Refused("INVALID_JSON", "not a text message")
        try:
            message = json.loads(event["text"])
        except (ValueError, RecursionError):
            if self.sin == "dies":
                os._exit(3)
            if self.sin == "ends":
                raise Leave from None
            raise Refused("INVALID_JSON", "not JSON") from None
        if not isinstance(message, dict):
            raise Refused("VALIDATION_ERROR", "not an object")
        kind = message.get("type")
        if kind not in _KEYS:
            raise Refused("UNKNOWN_TYPE", f"no message is a {kind!r}")
        if set(message) - _KEYS[kind]:
            if self.sin == "hangs":
                time.sleep(3)
            raise Refused("VALIDATION_ERROR", "unknown keys")
        if kind == "close":
            raise Leave
        data = message.get("data") or {}
        return json.dumps(
            {"type": "state" if kind == "state" else "observation", "data": self._do(episode, kind, data)}
        )

    def _do(self, episode: Episode, kind: str, data: Any) -> dict[str, Any]:
        if kind == "state":
            return {"step_count": episode.count}
        if kind == "reset":
            episode.random = random.Random(None if self.sin == "random" else data.get("seed"))
            episode.count, episode.begun = 0, True
        else:
            if self.sin != "lax" and (set(data) != {"n"} or not isinstance(data["n"], int)):
                raise Refused("VALIDATION_ERROR", "an action has n, an integer, and nothing else")
            if not episode.begun and self.sin != "fresh":
                raise Refused("EXECUTION_ERROR", "reset first")
            episode.count += 1
        observation = {"count": episode.count, "roll": episode.random.randrange(10**9)}
        return {"observation": observation, "reward": 1.0, "done": False}


def _error(code: str, message: str) -> str:
    return json.dumps({"type": "error", "data": {"code": code, "message": message}})


def tell(urls: list[str]) -> None:
    sys.stdout.write(urls[0] + "\n")
    sys.stdout.flush()


async def main(sin: str) -> None:
    await serve(
        BadServer(sin),
        bind=[("127.0.0.1", 0)],
        options=ServeOptions(grace_s=0.1, linger_s=0.1),
        ready=tell,
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
