"""How the Hub says no, and who is asking."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from support.hub.store import Repo, Store, Token

BAD_CREDENTIALS = "Invalid credentials in Authorization header"


class Refusal(HTTPException):
    """An answer with a status, a reason, and the code that the client reads."""

    def __init__(self, status: int, message: str, code: str | None = None, **extra: Any) -> None:
        super().__init__(status, message)
        self.code, self.extra = code, extra


async def on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = getattr(error, "code", None)
    headers = {"X-Error-Message": error.detail.splitlines()[0], "X-Request-Id": "suite"}
    if code:
        headers["X-Error-Code"] = code
    body = {"error": error.detail} | getattr(error, "extra", {})
    return JSONResponse(body, error.status_code, headers=headers)


def store_of(request: Request) -> Store:
    store = request.app.state.store
    assert isinstance(store, Store)
    return store


def asking(request: Request) -> Token | None:
    """Whose token it is; a wrong one is refused, none is nobody."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if not value:
        return None
    token = store_of(request).tokens.get(value) if scheme == "Bearer" else None
    if token is None:
        raise Refusal(401, BAD_CREDENTIALS)
    return token


def someone(request: Request) -> Token:
    token = asking(request)
    if token is None:
        raise Refusal(401, "Invalid username or password.")
    return token


def kind_of(request: Request) -> str:
    return str(request.path_params.get("kind", "spaces")).rstrip("s")


def repo_to_read(request: Request) -> Repo:
    """The repository of the path. One that may not be seen does not exist; asked by nobody it is a 401."""
    token = asking(request)
    name = f"{request.path_params['owner']}/{request.path_params['name']}"
    repo = store_of(request).repos.get((kind_of(request), name))
    if repo is None or not store_of(request).may_read(token, repo):
        if token is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")
    return repo


def repo_to_write(request: Request) -> Repo:
    repo = repo_to_read(request)
    if not store_of(request).may_write(someone(request), repo.owner):
        raise Refusal(403, "Forbidden: pass a token with write access to this repo")
    return repo


def repo_to_change(request: Request) -> Repo:
    """For files: who may only read may still propose."""
    if request.query_params.get("create_pr") == "1" and someone(request).role != "read":
        return repo_to_read(request)
    return repo_to_write(request)
