"""A Space of the Hugging Face Hub: used where it runs, or downloaded and served here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx

from openenv_async.errors import ServerNotStarted
from openenv_async.providers.base import BaseProvider, wait_until_healthy
from openenv_async.providers.local import LocalProcessProvider

if TYPE_CHECKING:
    from huggingface_hub import HfApi


RUNNING = frozenset({"RUNNING", "RUNNING_BUILDING", "RUNNING_APP_STARTING"})
COMING = frozenset({"BUILDING", "APP_STARTING"})
ASLEEP = frozenset({"SLEEPING"})

POLL_S = 2.0
"""Seconds between two requests to the Hub about a Space that is waking."""


class SpaceProvider(BaseProvider):
    """Finds a Space's address and waits until it is awake. Never stops it: the Space belongs to its owner.

    Args:
        repo_id: `"org/name"`.
        token: a Hub token, for private Spaces; None: the one of `HF_TOKEN` or `hf auth login`.
        start_timeout_s: seconds it may take to wake up.
        progress: receives each stage of the Space, e.g. `"SLEEPING"`, `"APP_STARTING"`, `"RUNNING"`.
        poll_s: seconds between two requests to the Hub.
    """

    def __init__(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        start_timeout_s: float = 300.0,
        progress: Callable[[str], None] | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        super().__init__()
        self._repo_id = repo_id
        self._token = token
        self._start_timeout_s = start_timeout_s
        self._progress = progress
        self._poll_s = poll_s

    async def start(self) -> str:
        from huggingface_hub import HfApi

        api = HfApi(token=self._token)
        deadline = time.monotonic() + self._start_timeout_s
        url: str = await self._ask(self._address, api)
        await self._wake(api, url, deadline)
        await wait_until_healthy(url, max(1.0, deadline - time.monotonic()), _nothing, self.headers(api))
        return url

    async def _end(self) -> None:
        """Do nothing: the Space keeps running."""

    def headers(self, api: HfApi) -> dict[str, str]:
        """Return the headers that a private Space requires."""
        token = self._token or _saved_token(api)
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def _wake(self, api: HfApi, url: str, deadline: float) -> None:
        told = ""
        while True:
            stage = str(await self._ask(lambda api: api.get_space_runtime(self._repo_id).stage, api))
            if stage != told and self._progress is not None:
                self._progress(stage)
            told = stage
            if stage in RUNNING:
                return
            if stage == "PAUSED":
                text = f"the Space {self._repo_id} is paused; its owner must restart it on the Hub"
                raise ServerNotStarted(text)
            if stage not in COMING and stage not in ASLEEP:
                raise ServerNotStarted(f"the Space {self._repo_id} does not run: its stage is {stage}; see its log")
            if time.monotonic() > deadline:
                text = f"the Space {self._repo_id} was not awake within {self._start_timeout_s:g} s: it is {stage}"
                raise ServerNotStarted(text)
            await self._knock(url, self.headers(api))
            await asyncio.sleep(self._poll_s)

    async def _knock(self, url: str, headers: dict[str, str]) -> None:
        """Send a request, which wakes a sleeping Space; the answer does not matter."""
        try:
            async with httpx.AsyncClient(timeout=5.0, headers=headers) as client:
                await client.get(f"{url}/health")
        except httpx.HTTPError:
            pass

    def _address(self, api: HfApi) -> str:
        info = api.space_info(self._repo_id)
        host = getattr(info, "host", None)
        if not host:
            raise ServerNotStarted(f"the Space {self._repo_id} has no address: it has never run")
        return str(host).rstrip("/")

    async def _ask(self, question: Callable[[HfApi], Any], api: HfApi) -> Any:
        """Ask the Hub in a thread, because its client blocks."""
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

        try:
            return await asyncio.to_thread(question, api)
        except RepositoryNotFoundError as exc:
            text = (
                f"there is no Space {self._repo_id}, or it is private and the token may not see it (token=, HF_TOKEN)"
            )
            raise ServerNotStarted(text) from exc
        except HfHubHTTPError as exc:
            raise ServerNotStarted(f"the Hub did not answer about {self._repo_id}: {exc}") from exc
        except OSError as exc:
            raise ServerNotStarted(f"the Hub cannot be reached: {exc}") from exc


def _saved_token(api: HfApi) -> str | None:
    from huggingface_hub import get_token

    token = api.token if isinstance(api.token, str) else get_token()
    return token or None


async def _nothing() -> None:
    """Stand for the check of a process: a Space's is not accessible."""


class HubCopyProvider(BaseProvider):
    """Downloads the Space into the Hub's cache and serves the copy as `LocalProcessProvider` does.

    Args:
        repo_id: `"org/name"`.
        token: a Hub token, for private Spaces; None: the one of `HF_TOKEN` or `hf auth login`.
        revision: branch, tag or commit; None: the newest.
        runner: see `LocalProcessProvider`.
        env: variables for the server.
        start_timeout_s: seconds from the end of the download until it must be healthy.
    """

    def __init__(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        revision: str | None = None,
        runner: Literal["python", "uv"] = "python",
        env: Mapping[str, str] | None = None,
        start_timeout_s: float = 120.0,
    ) -> None:
        super().__init__()
        self._repo_id, self._token, self._revision = repo_id, token, revision
        self._options: dict[str, Any] = {"runner": runner, "env": env, "start_timeout_s": start_timeout_s}
        self._server: LocalProcessProvider | None = None

    async def start(self) -> str:
        folder = await asyncio.to_thread(self._download)
        self._server = LocalProcessProvider(folder, **self._options)
        return await self._server.start()

    async def _end(self) -> None:
        if self._server is not None:
            await self._server.stop()

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

        try:
            return Path(snapshot_download(self._repo_id, repo_type="space", revision=self._revision, token=self._token))
        except RepositoryNotFoundError as exc:
            text = (
                f"there is no Space {self._repo_id}, or it is private and the token may not see it (token=, HF_TOKEN)"
            )
            raise ServerNotStarted(text) from exc
        except (HfHubHTTPError, OSError) as exc:
            raise ServerNotStarted(f"the Space {self._repo_id} could not be downloaded: {exc}") from exc
