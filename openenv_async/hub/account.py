"""The Hub's client, the account of the token in use, and the names of Spaces.

`HF_TOKEN`, the token of `hf auth login` and `HF_ENDPOINT` are read by the Hub's own
client.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from huggingface_hub import HfApi, get_session, get_token

from openenv_async.hub.failures import HubError, HubRefused, UnusableName, in_sentences

# Seconds for each part of an answer; the client waits for ever by default. A whole upload has no limit.
SILENCE_S = 120.0

_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_LONGEST = 96


class NoToken(HubError):
    """There is no token: the user is not logged in."""

    fault = "task"


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of a token."""

    name: str
    organizations: tuple[str, ...]
    read_only: bool


def connect_api() -> HfApi:
    """Return a client of the Hub that `HF_ENDPOINT` names, with a limit on every wait."""
    get_session().timeout = SILENCE_S
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="openenv-async")


def token_in_use() -> str | None:
    """Return the token that the client will send."""
    return get_token()


def sign_in(api: HfApi) -> Account:
    """Ask the Hub for the owner of the token in use.

    Raises:
        NoToken: there is no token.
        HubRefused: the Hub does not accept it.
    """
    if token_in_use() is None:
        raise NoToken("no Hugging Face token was found: set HF_TOKEN, or log in with `hf auth login`")
    with in_sentences("Logging in", "your account"):
        answer = api.whoami()
    organizations = tuple(str(each.get("name")) for each in answer.get("orgs") or [])
    token = (answer.get("auth") or {}).get("accessToken") or {}
    return Account(str(answer["name"]), organizations, token.get("role") == "read")


def require_write(account: Account) -> None:
    """Refuse a token that can only read, before anything is created with it.

    Raises:
        HubRefused: it can only read.
    """
    if account.read_only:
        raise HubRefused(
            f"the token of {account.name} can only read: create one with the write role at "
            "https://huggingface.co/settings/tokens and log in with it, or set it as HF_TOKEN"
        )


def full_name(repo_id: str, owner: str) -> str:
    """Check a Space's name, and add the owner if it has none.

    Raises:
        UnusableName: a repository cannot have this name.
    """
    parts = repo_id.split("/")
    if len(parts) > 2:
        raise UnusableName(f"{repo_id!r} cannot be the name of a Space: write NAME or OWNER/NAME")
    for part in parts:
        if not _PART.fullmatch(part) or "--" in part or ".." in part or part.endswith(".git"):
            raise UnusableName(
                f"{repo_id!r} cannot be the name of a Space: use letters, digits, single - and . and _, "
                f"with a letter or digit at both ends; {_try(parts)}"
            )
    name = repo_id if len(parts) == 2 else f"{owner}/{repo_id}"
    if len(name) > _LONGEST:
        raise UnusableName(f"the name {name!r} is {len(name)} characters long, and {_LONGEST} is the most")
    return name


def _try(parts: list[str]) -> str:
    repaired = [re.sub(r"-{2,}|\.{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", part)).strip("-._") for part in parts]
    repaired = [part.removesuffix(".git") for part in repaired]
    return f"try {'/'.join(repaired)}" if all(repaired) else "such as alice/my_env"
