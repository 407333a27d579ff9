"""`run_episode`: a whole episode, started over when the infrastructure fails under it.

Owns the order of calls, what is started over and when. Makes no call itself: `plan`
is a generator of calls, so that `AsyncEnv` awaits them and `SyncEnv` makes them in
the caller's thread. What an error means is in `errors`.
"""

from __future__ import annotations

import functools
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeVar

from openenv_async.errors import CapacityError, ConnectFailed, EnvError, ServerClosing, ServerNotStarted, SessionBusy
from openenv_async.results import Episode, StepResult

logger = logging.getLogger("openenv_async")

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")

FIRST_PAUSE_S = 0.5
"""Seconds before the first new attempt where there is no server or no slot; each further one waits twice as long."""

LONGEST_PAUSE_S = 30.0

Call = Callable[[], Any]
"""One thing to do next; what it returns may have to be awaited."""

Plan = Generator[Call, Any, Episode[ActT, ObsT]]


class Calls(Protocol):
    """What a plan needs of a client, async or not."""

    _playing: bool

    @property
    def session_id(self) -> str | None:
        """The server's name for the session."""

    def reset(self, **arguments: Any) -> Any:
        """Begin an episode."""

    def step(self, action: Any, *, timeout_s: float | None) -> Any:
        """Play one action."""

    def _leave_session(self) -> Any:
        """End the session, so that the next `reset` opens another."""


async def play(steps: Plan[ActT, ObsT]) -> Episode[ActT, ObsT]:
    """Make the calls of a plan, one after the other, and await what they return."""
    try:
        call = next(steps)
        while True:
            try:
                value = call()
                if inspect.isawaitable(value):
                    value = await value
            except BaseException as exc:  # the plan decides what it means
                call = steps.throw(exc)
            else:
                call = steps.send(value)
    except StopIteration as end:
        episode: Episode[ActT, ObsT] = end.value
        return episode


def plan(
    env: Calls,
    policy: Callable[[ObsT], ActT | Awaitable[ActT]],
    sleep: Callable[[float], Any],
    arguments: dict[str, Any],
    retries: int,
    max_steps: int | None,
) -> Plan[ActT, ObsT]:
    """Yield the calls of one episode, one after the other; send back what each returned, or throw what it raised.

    Args:
        env: whose `reset` and `step` are called.
        policy: see `run_episode`.
        sleep: waits for so many seconds.
        arguments: of `reset`; the steps take its `timeout_s` too.
        retries: see `run_episode`.
        max_steps: see `run_episode`.
    """
    _check(env, retries, max_steps)
    env._playing = True
    try:
        return (yield from _attempts(env, policy, sleep, arguments, retries, max_steps))
    finally:
        env._playing = False


def _attempts(
    env: Calls,
    policy: Callable[[ObsT], ActT | Awaitable[ActT]],
    sleep: Callable[[float], Any],
    arguments: dict[str, Any],
    retries: int,
    max_steps: int | None,
) -> Plan[ActT, ObsT]:
    failures: list[EnvError] = []
    while True:
        begin = getattr(policy, "reset", None)  # the author's, who may leave it out
        if callable(begin):
            yield begin
        error: EnvError
        try:
            first: StepResult[ObsT] = yield functools.partial(env.reset, **arguments)
        except EnvError as exc:
            error = exc
        else:
            episode: Episode[ActT, ObsT] = Episode(first, failures=tuple(failures))
            failed = yield from _steps(env, policy, episode, arguments["timeout_s"], max_steps)
            if failed is None:
                return episode
            error = failed
        if error.fault != "infrastructure" or len(failures) >= retries:
            raise _with_history(error, failures)
        failures.append(error)
        pause_s = pause(error, len(failures))
        logger.warning(
            "the episode of session %s begins again in a fresh one in %.1f s, attempt %d of %d, because of %s: %s",
            env.session_id,
            pause_s,
            len(failures) + 1,
            retries + 1,
            type(error).__name__,
            error,
            extra={"session_id": error.session_id or env.session_id, "request_id": error.request_id},
        )
        yield env._leave_session
        if pause_s:
            yield functools.partial(sleep, pause_s)


def _steps(
    env: Calls,
    policy: Callable[[ObsT], ActT | Awaitable[ActT]],
    episode: Episode[ActT, ObsT],
    timeout_s: float | None,
    max_steps: int | None,
) -> Generator[Call, Any, EnvError | None]:
    """Play to the end and write it into the episode; return what a step failed with."""
    while not episode.last.done:
        if max_steps is not None and episode.length >= max_steps:
            episode.stopped = True
            return None
        # Not inside the try: what a policy raises is its own, also when it plays on another server.
        action: ActT = yield functools.partial(policy, episode.last.observation)
        try:
            result: StepResult[ObsT] = yield functools.partial(env.step, action, timeout_s=timeout_s)
        except EnvError as exc:
            return exc
        episode.actions.append(action)
        episode.results.append(result)
    return None


def pause(error: EnvError, attempt: int) -> float:
    """Return the seconds to wait before the next attempt, after `attempt` of them have failed.

    Where there is no server or no slot, many clients come back at once: so the pause
    doubles and is partly random. Everything else begins again at once.
    """
    told = error.details.get("retry_after_s")
    if isinstance(told, (int, float)) and told > 0:
        return min(float(told), LONGEST_PAUSE_S) * random.uniform(1.0, 1.5)
    if isinstance(error, (CapacityError, ConnectFailed, ServerClosing, ServerNotStarted)):
        return min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
    return 0.0


def _with_history(error: EnvError, failures: list[EnvError]) -> EnvError:
    if failures:
        told = "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
        error.add_note(f"attempt {len(failures) + 1} of this episode; before it: {told}")
    return error


def _check(env: Calls, retries: int, max_steps: int | None) -> None:
    if env._playing:
        name = type(env).__name__
        raise SessionBusy(f"run_episode() came while another plays on this {name}; use one {name} per episode")
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries!r}")
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps must be 1 or more, not {max_steps!r}")
