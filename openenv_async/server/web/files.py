"""Serves the files of the web page, each with its Content-Security-Policy.

They hold nothing of the environment, so they need no token. The page runs scripts and
styles of its own files only and never turns text into markup (Trusted Types enforce it
in the browser). `frame.html`, in which an author's HTML is drawn, has an origin of its
own, styles, no network, and one script, which its policy names by its hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

INDEX = "index.html"
FRAME = "frame.html"

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; "
    "frame-ancestors {ancestors}"
)
_FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src '{script}'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)


class File(NamedTuple):
    """One file as it is served."""

    body: bytes
    media_type: str
    etag: str


@functools.cache
def page_files() -> dict[str, File]:
    """Return every file of the page by its name, read once."""
    found = {}
    for entry in files("openenv_async.server.web").joinpath("page").iterdir():
        media_type = _TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            body = entry.read_bytes()
            found[entry.name] = File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
    return found


@functools.cache
def frame_script() -> str:
    """Return the hash of the frame's one script, as a Content-Security-Policy names it."""
    script = page_files()[FRAME].body.partition(b"<script>")[2].partition(b"</script>")[0]
    return "sha256-" + base64.b64encode(hashlib.sha256(script).digest()).decode()


class PageFiles:
    """The handlers of the files.

    Args:
        ancestors: sources, as of a Content-Security-Policy, whose pages may show this one in a frame.
    """

    def __init__(self, ancestors: tuple[str, ...]) -> None:
        self._ancestors = " ".join(ancestors)

    async def index(self, request: Request) -> Response:
        """`GET /web/`: the page."""
        return self._answer(request, INDEX)

    async def file(self, request: Request) -> Response:
        """`GET /web/NAME`: one of its files."""
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        file = page_files().get(name)
        if file is None:
            return Response("the page has no such file", 404, media_type="text/plain")
        headers = {
            # Revalidated each time, so that a page never mixes files of two releases.
            "cache-control": "no-cache",
            "etag": file.etag,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        if name.endswith(".html"):
            policy = _FRAME_POLICY.replace("{script}", frame_script()) if name == FRAME else _PAGE_POLICY
            headers["content-security-policy"] = policy.format(ancestors=self._ancestors)
        if request.headers.get("if-none-match") == file.etag:
            return Response(None, 304, headers)
        return Response(file.body, 200, headers, media_type=file.media_type)
