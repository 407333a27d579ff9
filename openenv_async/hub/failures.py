"""The errors of this package, and the translation of the Hub client's exceptions into them, one sentence each.

A message never contains a token or the value of a secret: it consists of names, and of
the Hub's own text.
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
    """The Hub was not reached, or cannot do what was requested."""

    code = "HUB"


class HubRefused(HubError):
    """The Hub refused. Trying again does not help."""

    fault = "task"


class UnusableName(HubError):
    """A repository cannot have this name."""

    fault = "task"


class UnusableFile(HubError):
    """A file of the environment cannot be sent as it is."""

    fault = "task"


@contextlib.contextmanager
def in_sentences(doing: str, repo_id: str, user: str | None = None) -> Iterator[None]:
    """Turn exceptions of the Hub client inside the block into errors of this package.

    Args:
        doing: the action, as the beginning of a sentence: `Sending the files`.
        repo_id: the repository.
        user: the owner of the token.
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
    """Return the status of the Hub's answer that caused an error, if there was one."""
    answer = _answer(error)
    return answer.response.status_code if answer is not None else None


def _told(doing: str, repo_id: str, user: str | None, error: Exception) -> HubError:
    answer = _answer(error)
    if answer is not None:
        return _refusal(doing, repo_id, user, answer)
    if isinstance(error, ValueError):  # the client's own checks of the files
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
        return UnusableFile(f"{doing} failed, because the Hub does not accept such a large file: {said}")
    if status == 429:
        return HubError(f"{doing} failed, because too many requests were made: wait a while and run it again ({said})")
    if status >= 500:
        return HubError(f"{doing} failed, because the Hub has a problem ({status}, {said}): run it again later")
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
    # The client's text has a heading first and the findings below.
    lines = [line.strip(" -`") for line in text.splitlines() if line.strip(" -`")]
    return "; ".join(lines[1:] or lines).rstrip(".")
