"""What goes wrong with the Hub, as one sentence each.

Owns the errors of this package and the only place that knows the Hub client's
own exceptions. A sentence never holds a token or a secret's value: it is made of
names, and of what the Hub said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from openenv_async.errors import EnvError

# What the client's HTTP library raises when no answer comes. The library differs between the client's major
# versions, so that it is named by its place in the tree.
_NO_ANSWER: type[BaseException] = HfHubHTTPError.__mro__[1]


class HubError(EnvError):
    """The Hub was not reached, or what was asked of it cannot be done."""

    code = "HUB"


class HubRefused(HubError):
    """The Hub answered no. Asking again changes nothing."""

    fault = "task"


class UnusableName(HubError):
    """A repository cannot have this name."""

    fault = "task"


class UnusableFile(HubError):
    """A file of the environment cannot be sent as it is."""

    fault = "task"


@contextlib.contextmanager
def in_sentences(doing: str, repo_id: str, user: str | None = None) -> Iterator[None]:
    """Turn what the Hub client raises inside the block into errors of this package.

    Args:
        doing: what fails, as the beginning of a sentence: `Sending the files`.
        repo_id: the repository it is about.
        user: whose token is used.
    """
    try:
        yield
    except HubError:
        raise
    except HFValidationError as error:
        raise UnusableName(f"{repo_id!r} cannot be the name of a Space: {_line(str(error))}") from error
    except Exception as error:
        raise _told(doing, repo_id, user, error) from error


def status_of(error: BaseException) -> int | None:
    """The status of the Hub's answer that led to an error, if one did."""
    answer = _answer(error)
    return answer.response.status_code if answer is not None else None


def _told(doing: str, repo_id: str, user: str | None, error: Exception) -> HubError:
    answer = _answer(error)
    if answer is not None:
        return _refusal(doing, repo_id, user, answer)
    if isinstance(error, ValueError):  # what the client finds out by itself, about the files
        return HubRefused(f"{doing} failed: {_last(str(error))}")
    cause = error
    while isinstance(cause.__cause__, Exception) and not isinstance(cause, _NO_ANSWER):
        cause = cause.__cause__
    return HubError(
        f"{doing} failed, because the Hub did not answer ({_line(str(cause)) or type(cause).__name__}): "
        "run the command again when the connection is back"
    )


def _refusal(doing: str, repo_id: str, user: str | None, error: HfHubHTTPError) -> HubError:
    status = error.response.status_code
    said = _said(error)
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        return HubRefused(f"the Hub does not accept the token ({said}): make another and log in with `hf auth login`")
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return HubRefused(
            f"there is no Space {repo_id} that {user or 'the token'} can see: check its name, and the token's rights"
        )
    if status == 403:
        return HubRefused(_forbidden(repo_id, user, said))
    if status == 409:
        return HubRefused(f"{repo_id} exists already: choose another name with --repo-id")
    if status == 413:
        return UnusableFile(f"{doing} failed, because the Hub takes no file as large: {said}")
    if status == 429:
        return HubError(f"{doing} failed, because too many requests were made: wait a while and run it again ({said})")
    if status >= 500:
        return HubError(f"{doing} failed, because the Hub is in trouble ({status}, {said}): run it again later")
    return HubRefused(f"{doing} failed, because the Hub refused it ({status}): {said}")


def _forbidden(repo_id: str, user: str | None, said: str) -> str:
    owner, _, name = repo_id.rpartition("/")
    if user and owner and owner != user:
        return (
            f"the token of {user} may not write to {repo_id}, which belongs to {owner} ({said}): "
            f"name one of your own with --repo-id {user}/{name}"
        )
    return f"the token may not write to {repo_id} ({said}): use one with the write role"


def _answer(error: BaseException) -> HfHubHTTPError | None:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, HfHubHTTPError):
            return found
        found = found.__cause__
    return None


def _said(error: HfHubHTTPError) -> str:
    text = error.server_message or error.response.headers.get("x-error-message") or error.response.reason_phrase
    return _line(str(text)) or "no reason given"


def _line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def _last(text: str) -> str:
    # The client puts a heading first and what it found below.
    lines = [line.strip(" -`") for line in text.splitlines() if line.strip(" -`")]
    return "; ".join(lines[1:] or lines).rstrip(".")
