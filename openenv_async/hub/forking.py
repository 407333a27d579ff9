"""Copies a Space into the user's account. The Hub copies the files; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from huggingface_hub import HfApi

from openenv_async.hub.account import full_name
from openenv_async.hub.failures import UnusableName, in_sentences
from openenv_async.hub.publishing import SpaceSettings, page_of

FREE_HARDWARE = "cpu-basic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """The copy."""

    repo_id: str
    url: str
    app_url: str | None
    private: bool
    is_environment: bool
    """Whether the original has an `openenv.yaml`."""


def source_name(space: str, endpoint: str) -> str:
    """Return the name of a Space given as `owner/name` or as the address of its page.

    Raises:
        UnusableName: it is neither of the two.
    """
    name = space.strip().removeprefix(f"{endpoint.rstrip('/')}/").removeprefix("spaces/").rstrip("/")
    if name.count("/") != 1:
        raise UnusableName(f"{space!r} is not a Space: write OWNER/NAME, or the address of its page")
    return full_name(name, owner="")


def fork_space(api: HfApi, source: str, target: str, settings: SpaceSettings, user: str) -> Fork:
    """Copy a Space.

    Args:
        api: the client.
        source: `owner/name` of the original.
        target: `owner/name` of the copy; must not exist.
        settings: of the copy, which is private if they say so or the original is.
        user: the owner of the token, for errors.

    Raises:
        HubError: see `hub.failures`.
    """
    with in_sentences("Looking at the Space", source, user):
        original = api.space_info(source)
    files = {sibling.rfilename for sibling in original.siblings or []}
    hardware: Any = settings.hardware or FREE_HARDWARE  # the Hub requires it for a copy
    with in_sentences("Copying the Space", target, user):
        api.duplicate_repo(
            source,
            target,
            repo_type="space",
            private=True if settings.private else None,
            space_hardware=hardware,
            space_variables=_pairs(settings.variables.items()),
            space_secrets=_pairs(settings.secrets.items()),
        )
    with in_sentences("Asking for the address", target, user):
        info = api.space_info(target)
    return Fork(
        repo_id=target,
        url=page_of(api, target),
        app_url=info.host or None,
        private=bool(info.private),
        is_environment="openenv.yaml" in files,
    )


def _pairs(items: Any) -> list[dict[str, str]] | None:
    return [{"key": key, "value": value} for key, value in items] or None
