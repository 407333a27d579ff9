"""Who asks the Hub: the client, the token, the names that belong to it.

Owns signing in and what a repository's name may be. `HF_TOKEN`, the token of
`hf auth login` and `HF_ENDPOINT` are read by the Hub's own client, as everywhere.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from huggingface_hub import HfApi, get_session, get_token

from openenv_async.hub.failures import HubError, HubRefused, UnusableName, in_sentences

# The client waits for ever by default. An answer's every part has this long; a whole upload takes what it takes.
SILENCE_S = 120.0

_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_LONGEST = 96


class NoToken(HubError):
    """Nobody is logged in."""

    fault = "task"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose token it is."""

    name: str
    organizations: tuple[str, ...]
    read_only: bool


def connect_api() -> HfApi:
    """Give a client of the Hub that `HF_ENDPOINT` names, whose every wait is bounded."""
    get_session().timeout = SILENCE_S
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="openenv-async")


def token_in_use() -> str | None:
    """The token that the client will present."""
    return get_token()


def sign_in(api: HfApi) -> Account:
    """Ask the Hub whose token is in use.

    Raises:
        NoToken: there is none.
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
    """Refuse a token that can only read, before anything is made with it.

    Raises:
        HubRefused: it can only read.
    """
    if account.read_only:
        raise HubRefused(
            f"the token of {account.name} can only read: make one with the write role at "
            "https://huggingface.co/settings/tokens and log in with it, or set it as HF_TOKEN"
        )


def full_name(repo_id: str, owner: str) -> str:
    """Check a Space's name, and complete it with its owner where it has none.

    Raises:
        UnusableName: no repository can have it.
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
