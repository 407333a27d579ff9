"""Plays a script against a served app and writes down every answer: the same for OpenEnv's server and for ours.

A script is a list of moves. `{"open": "a", "path": "/ws"}` opens a socket named a, `{"say": "a", "text": "..."}`
sends and takes one answer, `{"hear": "a"}` takes one, `{"ended": "a"}` waits until the server closes it,
`{"leave": "a"}` closes it, `{"get": path}` and `{"post": path, "json": ...}` are HTTP requests.
`$name` in a later move stands for what an earlier one kept with `"keep": {"name": ["result", "session_id"]}`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

BOUND_S = 15.0

Move = dict[str, Any]

_CHANGING = [
    # pydantic's link to its documentation names its version
    (re.compile(r"https://errors\.pydantic\.dev/[\d.]+/"), "https://errors.pydantic.dev/VERSION/"),
    (re.compile(r"0x[0-9a-f]{6,}"), "ADDRESS"),
]


class Player:
    """One playing of one script."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._url = url
        self._headers = headers or {}
        # A connection for each request: servers close one on which an app raised, and the next request would meet that.
        closing = {**self._headers, "connection": "close"}
        self._http = httpx.Client(base_url=url, timeout=BOUND_S, trust_env=False, headers=closing)
        # The asyncio client, on a loop that runs only while a move is made: the threaded one may lose what a server
        # says right before it closes.
        self._loop = asyncio.Runner()
        self._sockets: dict[str, ClientConnection] = {}
        self._kept: dict[str, str] = {}

    def play(self, moves: list[Move]) -> list[Any]:
        """Give what the server said to each move, what changes from run to run replaced."""
        try:
            return [self._plain(self._move(self._filled(move)), move) for move in moves]
        finally:
            for socket in self._sockets.values():
                self._loop.run(socket.close())
            self._settle()
            self._loop.close()
            self._http.close()

    def _connect(self, url: str) -> ClientConnection:
        async def connecting() -> ClientConnection:
            return await connect(url, open_timeout=BOUND_S, proxy=None, additional_headers=self._headers)

        return self._loop.run(connecting())

    def _settle(self) -> None:
        """Wait until the sockets of this playing have given their slots back."""
        until = time.monotonic() + BOUND_S
        while time.monotonic() < until:
            socket = self._connect(self._url.replace("http", "ws", 1) + "/ws")
            try:
                self._loop.run(socket.send(json.dumps({"type": "none"})))
                said = self._hear(socket)
            except ConnectionClosed:
                continue
            finally:
                self._loop.run(socket.close())
            if "CAPACITY_REACHED" not in str(said) and "closed" not in said:
                return
        raise AssertionError("no slot became free")

    def _move(self, move: Move) -> Any:
        if "open" in move:
            ws = self._url.replace("http", "ws", 1) + move.get("path", "/ws")
            self._sockets[move["open"]] = self._connect(ws)
            return "open"
        if "say" in move:
            socket = self._sockets[move["say"]]
            self._loop.run(socket.send(move["text"] if "text" in move else json.dumps(move["json"])))
            return self._hear(socket)
        if "hear" in move:
            return self._hear(self._sockets[move["hear"]])
        if "tell" in move:
            self._loop.run(self._sockets[move["tell"]].send(json.dumps(move["json"])))
            return "told"
        if "ended" in move:
            return self._ended(self._sockets.pop(move["ended"]))
        if "leave" in move:
            self._loop.run(self._sockets.pop(move["leave"]).close())
            return "left"
        return self._request(move)

    def _hear(self, socket: ClientConnection) -> Any:
        try:
            return _read(self._loop.run(asyncio.wait_for(socket.recv(), BOUND_S)))
        except ConnectionClosed as closed:
            return {"closed": closed.rcvd.code if closed.rcvd else None}

    def _ended(self, socket: ClientConnection) -> Any:
        said = self._hear(socket)
        assert set(said) == {"closed"}, f"the server should have closed, and said {said}"
        return said

    def _request(self, move: Move) -> Any:
        method = next(name for name in ("get", "post", "delete", "put", "options") if name in move)
        content = move["text"].encode() if "text" in move else None
        headers = {"content-type": "application/json"} if content is not None else None
        answer = self._http.request(
            method.upper(), move[method], json=move.get("json"), content=content, headers=headers
        )
        kind = answer.headers.get("content-type", "")
        body: Any = answer.text
        if kind.startswith("application/json"):
            body = _read(answer.text)
        elif kind.startswith("text/html"):
            body = "html"
        return {"status": answer.status_code, "type": kind, "body": body}

    def _filled(self, move: Move) -> Move:
        text = json.dumps(move)
        for name, value in self._kept.items():
            text = text.replace(f"${name}", value)
        filled: Move = json.loads(text)
        return filled

    def _plain(self, said: Any, move: Move) -> Any:
        for name, path in move.get("keep", {}).items():
            value = said
            for part in path:
                value = value[part]
            self._kept[name] = value
        text = json.dumps(said, sort_keys=True)
        for pattern, replacement in _CHANGING:
            text = pattern.sub(replacement, text)
        for name, value in self._kept.items():
            text = text.replace(value, f"${name}")
        return json.loads(text)


def _read(text: str | bytes) -> Any:
    """Read JSON so that 1 and 1.0 stay different."""
    return json.loads(text, parse_float=lambda number: {"float": repr(float(number))})
