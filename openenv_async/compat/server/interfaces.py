"""`openenv.core.env_server.interfaces` and `.base_transforms`: the class that authors derive environments from.

Nothing here calls the environment: `call_adapter` does.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import TypedDict

from openenv_async.compat.server.types import Action, EnvironmentMetadata, Observation, State

ActT = TypeVar("ActT", bound=Action)
ObsT = TypeVar("ObsT", bound=Observation)
StateT = TypeVar("StateT", bound=State)


class Message(TypedDict):
    """One message of a conversation, as chat templates take it."""

    role: str
    content: str


class ModelTokenizer(Protocol):
    """The part of a tokenizer that chat environments use."""

    def apply_chat_template(
        self,
        conversation: list[Message],
        tokenize: bool = True,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return a conversation as text or tokens."""

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> str:
        """Return tokens as text."""


class TaskProvider(Protocol):
    """Methods that an environment with a data set may have: any of them, sync or async, without inheriting this."""

    def list_splits(self) -> list[Any]:
        """Return the splits: text, dicts or models."""

    def list_tasks(self, split: str) -> list[Any]:
        """Return the tasks of a split."""

    def num_tasks(self, split: str) -> int:
        """Return the number of tasks of a split."""

    def get_task(self, split: str, index: int) -> Any:
        """Return one task; raise IndexError when there is none."""

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[Any]:
        """Return the tasks of a slice."""


class Transform(ABC, Generic[ObsT]):
    """Changes observations, for rewards or measurements. For subclasses."""

    @abstractmethod
    def __call__(self, observation: ObsT) -> ObsT:
        """Return the observation that replaces this one."""


class Environment(ABC, Generic[ActT, ObsT, StateT]):
    """An environment as OpenEnv defines it: `reset`, `step` and `state`.

    Override `reset_async` and `step_async` for code that awaits. Instances that share nothing may declare it with
    `SUPPORTS_CONCURRENT_SESSIONS = True`; `REQUIRES_SINGLE_THREAD_EXECUTOR = True` puts the environments of every
    session on one thread.

    Args:
        transform: for `_apply_transform`.
        rubric: for `_apply_rubric`.
    """

    SUPPORTS_CONCURRENT_SESSIONS: bool = False
    REQUIRES_SINGLE_THREAD_EXECUTOR: bool = False

    # Class attributes too, because many environments do not call this constructor.
    transform: Any = None
    rubric: Any = None

    def __init__(self, transform: Transform[ObsT] | None = None, rubric: Any = None) -> None:
        self.transform = transform
        self.rubric = rubric

    @abstractmethod
    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
        """Begin an episode and return its first observation."""

    async def reset_async(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
        """Begin an episode; by default calls `reset`."""
        return self.reset(seed=seed, episode_id=episode_id, **kwargs)

    @abstractmethod
    def step(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
        """Take one step."""

    async def step_async(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
        """Take one step; by default calls `step`."""
        return self.step(action, timeout_s=timeout_s, **kwargs)

    @property
    @abstractmethod
    def state(self) -> StateT:
        """The state of the episode."""

    def get_metadata(self) -> EnvironmentMetadata:
        """Return a description of this environment; override it to say more."""
        name = type(self).__name__
        return EnvironmentMetadata(name=name, description=f"{name} environment", version="1.0.0")

    def _apply_transform(self, observation: ObsT) -> ObsT:
        """Return an observation, changed by the transform if there is one; call it in `step` and `reset`."""
        return observation if self.transform is None else self.transform(observation)

    def _apply_rubric(self, action: ActT, observation: ObsT) -> float:
        """Return the rubric's reward, 0.0 without a rubric; call it in `step`."""
        return 0.0 if self.rubric is None else self.rubric(action, observation)

    async def _apply_rubric_async(self, action: ActT, observation: ObsT) -> float:
        """Return the rubric's reward, awaited if the rubric is async; call it in `step_async`."""
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
        """Return an observation as HTML for a web page; None by default."""
        return None

    def web_actions(self, observation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return actions to offer as buttons, each with its label; none by default."""
        return []

    def close(self) -> None:
        """Release what the environment holds; called once, when its session ends."""


class CompositeTransform(Transform[Any]):
    """Applies several transforms in order."""

    def __init__(self, transforms: list[Transform[Any]]) -> None:
        self.transforms = transforms

    def __call__(self, observation: Observation) -> Observation:
        for transform in self.transforms:
            observation = transform(observation)
        return observation


class NullTransform(Transform[Any]):
    """Returns observations unchanged."""

    def __call__(self, observation: Observation) -> Observation:
        return observation
