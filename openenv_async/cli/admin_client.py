"""Client of a running server's operator routes: lists and closes sessions.

Makes the requests and the sentences for what goes wrong. `server.operators` answers.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import click
import httpx

from openenv_async.client.options import find_target
from openenv_async.errors import UsageError
from openenv_async.server.operator_key import HEADER, find_key
from openenv_async.transport.address import is_loopback

DEFAULT_URL = "http://127.0.0.1:8000"

F = TypeVar("F", bound=Callable[..., Any])


class Unreachable(Exception):
    """No server answers; it may come back."""


class Refused(Exception):
    """A server refuses the request, or answers with something else than expected."""


class NoSuchSession(Refused):
    """The session has ended or never existed."""


def token_option(command: F) -> F:
    """Add `--token` to a command."""
    return click.option("--token", envvar="OPENENV_TOKEN", show_envvar=True, help="The server's token.")(command)


class Operator:
    """A client of one server's operator routes. Use it in a `with` block.

    Args:
        url: as clients pass it: `http(s)://`, `host:port` or `unix:/path`.
        token: the server's token.
        timeout_s: seconds for an answer.

    Raises:
        Refused: `url` is not an address.
    """

    def __init__(self, url: str, token: str | None, timeout_s: float = 10.0) -> None:
        try:
            target = find_target(url)
        except UsageError as error:
            raise Refused(str(error)) from error
        self.url = target.url.removesuffix("/ws") if target.unix_path is None else f"unix:{target.unix_path}"
        transport = None if target.unix_path is None else httpx.HTTPTransport(uds=target.unix_path)
        # A proxy that the environment names does not serve connections to this machine.
        direct = target.unix_path is not None or is_loopback(urlsplit(target.url).hostname or "")
        self._http = httpx.Client(
            base_url=target.url.removesuffix("ws"),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_s,
            transport=transport,
            trust_env=not direct,
        )
        self._has_token = bool(token)
        self._find_key()

    def _find_key(self) -> bool:
        """Use the key that the server has now; return whether it is another one than before."""
        key = None if self._has_token else find_key(self.url)
        if key is None or self._http.headers.get(HEADER) == key:
            return False
        self._http.headers[HEADER] = key
        return True

    def sessions(self, *, limit: int, sort: str, offset: int = 0) -> dict[str, Any]:
        """Return the list of sessions; see docs/recording.md.

        Raises:
            Unreachable: no server answers.
            Refused: the server refuses the request.
        """
        return self._ask("GET", "sessions", {"limit": limit, "sort": sort, "offset": offset})

    def close(self, session_id: str, grace_s: float | None, timeout_s: float) -> dict[str, Any]:
        """Close a session.

        Args:
            session_id: its id.
            grace_s: seconds for a call that cannot be stopped; None: the server's own.
            timeout_s: seconds until the server must have answered.

        Raises:
            NoSuchSession: no session has that id.
            Unreachable: no server answers.
            Refused: the server refuses the request.
        """
        query = {} if grace_s is None else {"grace_s": grace_s}
        return self._ask("DELETE", f"sessions/{session_id}", query, timeout_s)

    def _ask(self, method: str, path: str, query: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
        extra: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
        try:
            answer = self._http.request(method, path, params=query, **extra)
            # The server may have been restarted, or have published its key after this request was sent.
            if answer.status_code == 403 and self._find_key():
                answer = self._http.request(method, path, params=query, **extra)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"nothing answers at {self.url} ({why}): is the server running there?") from error
        try:
            said = answer.json()
        except ValueError:
            said = None
        if answer.status_code == 200 and isinstance(said, dict):
            return said
        raise self._refusal(answer.status_code, said if isinstance(said, dict) else {})

    def _refusal(self, status: int, said: dict[str, Any]) -> Refused:
        if status == 401:
            return Refused(f"{self.url} wants its token: give it with --token or OPENENV_TOKEN")
        if said.get("code") == "SESSION_LOST":
            return NoSuchSession(str(said.get("message")))
        if said.get("message"):
            return Refused(f"{self.url} refuses: {said['message']}")
        if status in (404, 405):
            return Refused(
                f"the server at {self.url} does not list its sessions: it is of an older release, or OpenEnv's"
            )
        return Refused(f"{self.url} answers {status}, and not as a server of openenv-async would")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.close()
