"""What an author writes: the environment and the classes of its values.

Owns the base classes. Knows nothing of servers: `runtime` plays any object that
has these methods, whether or not it inherits from `Environment`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

Execution = Literal["inline", "thread", "process"]
"""Where an environment's code runs; see `Environment.execution`."""


class Action(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of a msgspec action. Unknown fields are refused with the field's name."""

    metadata: dict[str, Any] = {}


class Observation(msgspec.Struct, kw_only=True):
    """Base of a msgspec observation, with the fields that the trainer's `StepResult` shows."""

    done: bool = False
    reward: bool | int | float | None = None
    truncated: bool = False
    metadata: dict[str, Any] = {}


class State(msgspec.Struct, kw_only=True):
    """Base of a msgspec state."""

    episode_id: str | None = None
    step_count: int = 0


class EnvironmentMetadata(msgspec.Struct, kw_only=True):
    """What an environment says of itself at `GET /metadata`. Fields as in OpenEnv."""

    name: str
    description: str
    readme_content: str | None = None
    version: str | None = None
    author: str | None = None
    documentation_url: str | None = None


ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")
StateT = TypeVar("StateT")


class Environment(ABC, Generic[ActT, ObsT, StateT]):
    """One environment, owned by one session.

    `reset`, `step` and `close` may each be `def` or `async def`. A subclass may
    add keyword arguments to `reset` (trainers pass them through) and may take
    `timeout_s` in `step` (seconds that the caller will wait).
    """

    execution: ClassVar[Execution | None] = None
    """Where the code runs. `None`: `async def` methods on the event loop, everything else in a
    thread. `"inline"`: all of it on the event loop; the author promises that nothing blocks.
    `"thread"`: all of it in one thread that the session keeps for life. `"process"`: all of it in a
    process of its own, forked when it is needed; a call that hangs is killed at its deadline, and a
    crash ends this session only. See `ProcessOptions`."""

    memory_limit_mb: ClassVar[int | None] = None
    """With `"process"`: MiB that an environment may allocate; above it, `MemoryError`. `None`: no limit."""

    cpu_limit_s: ClassVar[int | None] = None
    """With `"process"`: seconds of processor time that an environment may use in its life; above it, its
    process is killed. `None`: no limit."""

    open_files_limit: ClassVar[int | None] = None
    """With `"process"`: descriptors that an environment's process may have open. `None`: the system's limit."""

    step_timeout_s: ClassVar[float | None] = None
    """Seconds a reset or step may take when the caller does not say; `None`: the server decides."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    """`False` when two instances cannot live in one server; the server then holds one session."""

    transform: Callable[[ObsT], ObsT] | None = None
    """Applied by the runtime to every observation of `reset` and `step`, where the environment lives."""

    def __init__(self, transform: Callable[[ObsT], ObsT] | None = None) -> None:
        """Keep the transform. A subclass need not call this."""
        self.transform = transform

    @abstractmethod
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> ObsT | Awaitable[ObsT]:
        """Begin an episode and return its first observation.

        Args:
            seed: makes the episode reproducible. An environment that takes no
                `seed` still runs; the caller is warned that it was ignored.
            episode_id: the caller's name for the episode.
        """

    @abstractmethod
    def step(self, action: ActT) -> ObsT | Awaitable[ObsT]:
        """Play one action and return what follows. Must not be called before `reset`."""

    @property
    @abstractmethod
    def state(self) -> StateT:
        """The episode's state, for inspection; reading it changes nothing."""

    # Not abstract: most environments hold nothing that needs closing.
    def close(self) -> None | Awaitable[None]:
        """Free what the environment holds. Called exactly once, where the environment lives."""

    def render_web(self, observation: dict[str, Any]) -> str | None | Awaitable[str | None]:
        """Draw an observation as HTML for the web page; by default nothing is drawn.

        The page shows it in a sandboxed frame: styles work, scripts and requests to elsewhere do not. Put nothing
        into it that is not escaped (`html.escape`), or it shows as something else than you meant.

        Args:
            observation: its fields as they travelled on the JSON wire, and `reward` and `done`. Draw from it rather
                than from `self`: the page also shows earlier observations, and recorded ones.
        """
        return None

    def web_actions(
        self, observation: dict[str, Any]
    ) -> list[tuple[str, dict[str, Any] | ActT]] | Awaitable[list[tuple[str, dict[str, Any] | ActT]]]:
        """Return actions that the web page offers as buttons, as pairs of label and action; by default none.

        Not asked when the episode is over.

        Args:
            observation: as for `render_web`.
        """
        return []

    def get_metadata(self) -> EnvironmentMetadata:
        """Describe the environment. The default takes name and docstring from the class."""
        doc = (type(self).__doc__ or "").strip().partition("\n")[0]
        name = type(self).__name__
        return EnvironmentMetadata(name=name, description=doc or f"{name} environment", version="1.0.0")
