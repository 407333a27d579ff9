"""`openenv.core.env_server.interfaces`: the class an author derives an environment from.

Nothing here calls the environment: `call_adapter` does, where the runtime says.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import TypedDict

from openenv_async.compat.server.models import Action, EnvironmentMetadata, Observation, State

ActT = TypeVar("ActT", bound=Action)
ObsT = TypeVar("ObsT", bound=Observation)
StateT = TypeVar("StateT", bound=State)


class Message(TypedDict):
    """One message of a conversation, as chat templates take it."""

    role: str
    content: str


class ModelTokenizer(Protocol):
    """What chat environments use of a tokenizer."""

    def apply_chat_template(
        self,
        conversation: list[Message],
        tokenize: bool = True,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Give a conversation as text or tokens."""

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> str:
        """Give tokens as text."""


class TaskProvider(Protocol):
    """What an environment with a data set may have; any of it, sync or async, and without inheriting this."""

    def list_splits(self) -> list[Any]:
        """Name the splits: text, dicts or models."""

    def list_tasks(self, split: str) -> list[Any]:
        """Give the tasks of a split."""

    def num_tasks(self, split: str) -> int:
        """Count the tasks of a split."""

    def get_task(self, split: str, index: int) -> Any:
        """Give one task; IndexError when there is none."""

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[Any]:
        """Give the tasks of a slice."""


class Transform(ABC, Generic[ObsT]):
    """Changes observations, for rewards or measurements."""

    @abstractmethod
    def __call__(self, observation: ObsT) -> ObsT:
        """Give the observation that takes its place."""


class Environment(ABC, Generic[ActT, ObsT, StateT]):
    """An environment as OpenEnv defines it: `reset`, `step` and `state`.

    Override `reset_async` and `step_async` for code that awaits. Instances that share nothing may say so with
    `SUPPORTS_CONCURRENT_SESSIONS = True`; `REQUIRES_SINGLE_THREAD_EXECUTOR = True` puts the environments of every
    session on one thread.

    Args:
        transform: for `_apply_transform`.
        rubric: for `_apply_rubric`.
    """

    SUPPORTS_CONCURRENT_SESSIONS: bool = False
    REQUIRES_SINGLE_THREAD_EXECUTOR: bool = False

    # Class attributes too: many environments do not call this constructor.
    transform: Any = None
    rubric: Any = None

    def __init__(self, transform: Transform[ObsT] | None = None, rubric: Any = None) -> None:
        self.transform = transform
        self.rubric = rubric

    @abstractmethod
    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
        """Begin an episode and give its first observation."""

    async def reset_async(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
        """Begin an episode; by default as `reset` does."""
        return self.reset(seed=seed, episode_id=episode_id, **kwargs)

    @abstractmethod
    def step(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
        """Take one step."""

    async def step_async(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
        """Take one step; by default as `step` does."""
        return self.step(action, timeout_s=timeout_s, **kwargs)

    @property
    @abstractmethod
    def state(self) -> StateT:
        """The state of the episode."""

    def get_metadata(self) -> EnvironmentMetadata:
        """Say what this environment is; override it to say more."""
        name = type(self).__name__
        return EnvironmentMetadata(name=name, description=f"{name} environment", version="1.0.0")

    def _apply_transform(self, observation: ObsT) -> ObsT:
        """Give what the transform makes of an observation; call it in `step` and `reset`."""
        return observation if self.transform is None else self.transform(observation)

    def _apply_rubric(self, action: ActT, observation: ObsT) -> float:
        """Give the rubric's reward, 0.0 without a rubric; call it in `step`."""
        return 0.0 if self.rubric is None else self.rubric(action, observation)

    async def _apply_rubric_async(self, action: ActT, observation: ObsT) -> float:
        """Give the rubric's reward, awaited where the rubric is async; call it in `step_async`."""
        reward: Any = self._apply_rubric(action, observation)
        return await reward if inspect.iscoroutine(reward) else reward  # type: ignore[no-any-return]

    def _reset_rubric(self) -> None:
        """Tell the rubric that an episode begins; call it in `reset`."""
        if self.rubric is not None:
            self.rubric.reset()

    async def _reset_rubric_async(self) -> None:
        """Tell the rubric that an episode begins; call it in `reset_async`."""
        if self.rubric is None:
            return
        if not hasattr(self.rubric, "reset_async"):
            self.rubric.reset()
            return
        waiting = self.rubric.reset_async()
        if inspect.iscoroutine(waiting):
            await waiting

    def render_web(self, observation: dict[str, Any]) -> str | None:
        """Draw an observation as HTML for a web page; by default nothing is drawn."""
        return None

    def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Give actions to offer as buttons, each with its label; by default none."""
        return []

    def close(self) -> None:
        """Release what the environment holds; called once, when its session ends."""
