"""`Rubric`: one part of a reward, with a name in its parent, a last score, and hooks before and after.

A rubric whose `forward` is `async def`, or returns a coroutine, returns a coroutine
when it is called.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Hook = Callable[..., Any]


class Rubric(ABC):
    """A score for an action and its observation. Subclasses define `forward`.

    A rubric that is set as an attribute becomes a child under the attribute's name.
    """

    _rubric_children: dict[str, Rubric]
    _forward_hooks: list[Hook]
    _forward_pre_hooks: list[Hook]
    last_score: Any
    """The score of the last call; None before the first."""

    def __init__(self) -> None:
        self._rubric_children = {}
        self._forward_hooks = []
        self._forward_pre_hooks = []
        self.last_score = None

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Rubric):
            self._rubric_children[name] = value
        super().__setattr__(name, value)

    def __call__(self, action: Any, observation: Any) -> Any:
        """Return the score, with the hooks before and after; a coroutine if `forward` must be awaited."""
        if inspect.iscoroutinefunction(self.forward):
            return self._awaited(action, observation, self.forward(action, observation), 0)
        self._before(action, observation)
        score = self.forward(action, observation)
        if inspect.iscoroutine(score):
            return self._awaited(action, observation, score, None)
        return self._after(action, observation, score)

    @abstractmethod
    def forward(self, action: Any, observation: Any) -> Any:
        """Return the score, usually from 0.0 to 1.0. May be `async def`."""

    def register_forward_hook(self, hook: Hook) -> None:
        """Call `hook(rubric, action, observation, score)` after each score; it may be async if the rubric is."""
        self._forward_hooks.append(hook)

    def register_forward_pre_hook(self, hook: Hook) -> None:
        """Call `hook(rubric, action, observation)` before each score; it may be async if the rubric is."""
        self._forward_pre_hooks.append(hook)

    def children(self) -> Iterator[Rubric]:
        """Iterate over the children."""
        yield from self._rubric_children.values()

    def named_children(self) -> Iterator[tuple[str, Rubric]]:
        """Iterate over the children with their names."""
        yield from self._rubric_children.items()

    def rubrics(self) -> Iterator[Rubric]:
        """Iterate over all descendants, each before its own."""
        for _, rubric in self.named_rubrics():
            yield rubric

    def named_rubrics(self, prefix: str = "") -> Iterator[tuple[str, Rubric]]:
        """Iterate over all descendants, with names joined by dots."""
        for name, child in self._rubric_children.items():
            path = f"{prefix}.{name}" if prefix else name
            yield path, child
            yield from child.named_rubrics(path)

    def get_rubric(self, path: str) -> Rubric:
        """Return a descendant by its names, joined by dots.

        Raises:
            KeyError: there is no such rubric.
        """
        found = self
        for name in path.split("."):
            if name not in found._rubric_children:
                raise KeyError(f"Rubric path not found: {path}")
            found = found._rubric_children[name]
        return found

    def reset(self) -> None:  # noqa: B027 - most have nothing to reset
        """Forget the episode. For subclasses that keep state."""

    def state_dict(self) -> dict[str, Any]:
        """Return the configuration, for a checkpoint. For subclasses that have one."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - most have none
        """Load a configuration that `state_dict` returned."""

    def _before(self, action: Any, observation: Any, start: int = 0) -> None:
        for hook in self._forward_pre_hooks[start:]:
            hook(self, action, observation)

    def _after(self, action: Any, observation: Any, score: Any) -> Any:
        self.last_score = score
        for hook in self._forward_hooks:
            hook(self, action, observation, score)
        return score

    async def _awaited(self, action: Any, observation: Any, score: Awaitable[Any], start: int | None) -> Any:
        """Await a score, after the hooks from the `start`-th on; None: the hooks have been called."""
        if start is not None:
            await self._before_async(action, observation, start)
        return await self._after_async(action, observation, await score)

    async def _before_async(self, action: Any, observation: Any, start: int) -> None:
        for hook in self._forward_pre_hooks[start:]:
            await _called(hook, self, action, observation)

    async def _after_async(self, action: Any, observation: Any, score: Any) -> Any:
        self.last_score = score
        for hook in self._forward_hooks:
            await _called(hook, self, action, observation, score)
        return score


async def _called(hook: Hook, *arguments: Any) -> None:
    outcome = hook(*arguments)
    if inspect.iscoroutinefunction(hook):
        await outcome
