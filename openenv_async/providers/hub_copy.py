"""A Space's repository, downloaded and served here: the environment of the Hub on one's own machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from openenv_async.errors import ServerNotStarted
from openenv_async.providers.base import BaseProvider
from openenv_async.providers.local import LocalProcessProvider


class HubCopyProvider(BaseProvider):
    """Downloads the Space into the Hub's cache and serves the copy as `LocalProcessProvider` does.

    Args:
        repo_id: `"org/name"`.
        token: a Hub token, for private Spaces; None: what `hf auth login` or `HF_TOKEN` left.
        revision: branch, tag or commit; None: the newest.
        runner: see `LocalProcessProvider`.
        env: variables for the server.
        start_timeout_s: seconds from downloaded to healthy.
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
        """See `BaseProvider.start`."""
        folder = await asyncio.to_thread(self._download)
        self._server = LocalProcessProvider(folder, **self._options)
        return await self._server.start()

    async def _end(self) -> None:
        """See `BaseProvider.stop`. The copy stays in the Hub's cache."""
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
