"""Rubrics made of rubrics: one after the other, behind a threshold, weighted, or kept by index and name.

Only calling a child shows whether it must be awaited. So a container's rule is a
generator that yields the results of its children and receives their scores; it runs
synchronously up to the first child that must be awaited, and then as a coroutine.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import (
    Coroutine,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)
from typing import Any

from openenv_async.compat.rubrics.base import Rubric

Rule = Generator[Any, Any, Any]


class _Joined(Rubric):
    """A rubric that computes its score from its children's by a rule."""

    @abstractmethod
    def _rule(self, action: Any, observation: Any) -> Rule:
        """Yield the result of calling each child, receive its score; return this rubric's score."""

    def forward(self, action: Any, observation: Any) -> Any:
        # For children that need no awaiting, and without this rubric's own hooks.
        rule = self._rule(action, observation)
        try:
            score = next(rule)
            while True:
                score = rule.send(score)
        except StopIteration as end:
            return end.value

    def __call__(self, action: Any, observation: Any) -> Any:
        # Hooks come before any child, as far as they can be called before it is known whether to await.
        ran = self._before_plainly(action, observation)
        rule = self._rule(action, observation)
        pending, score = _advance(rule, None)
        if pending is not None:
            return self._go_on(action, observation, rule, pending, ran)
        if self._awaits(score):
            return self._end(action, observation, score, ran)
        self._before(action, observation, ran)
        return self._after(action, observation, score)

    def _awaits(self, score: Any) -> bool:
        """Return whether to return a coroutine although no child needed awaiting."""
        return False

    def _before_plainly(self, action: Any, observation: Any) -> int:
        ran = 0
        for hook in self._forward_pre_hooks:
            if inspect.iscoroutinefunction(hook):
                break
            hook(self, action, observation)
            ran += 1
        return ran

    async def _go_on(
        self, action: Any, observation: Any, rule: Rule, pending: Coroutine[Any, Any, Any] | None, ran: int
    ) -> Any:
        await self._before_async(action, observation, ran)
        score: Any = None
        while pending is not None:
            pending, score = _advance(rule, await pending)
        return await self._after_async(action, observation, score)

    async def _end(self, action: Any, observation: Any, score: Any, ran: int) -> Any:
        await self._before_async(action, observation, ran)
        return await self._after_async(action, observation, score)


def _advance(rule: Rule, score: Any) -> tuple[Coroutine[Any, Any, Any] | None, Any]:
    """Run a rule to the first child that must be awaited, or to its end and the score."""
    try:
        given = rule.send(score)
        while not inspect.iscoroutine(given):
            given = rule.send(given)
    except StopIteration as end:
        return None, end.value
    return given, None


class Sequential(_Joined):
    """The score of the last rubric, or 0.0 as soon as one scores that. Children are `rubric_0`, `rubric_1` and so on.

    Inside a running event loop it returns a coroutine, unless the score is 0.0 without awaiting.
    """

    def __init__(self, *rubrics: Rubric) -> None:
        super().__init__()
        self._rubric_list = _numbered(self, rubrics)

    def _rule(self, action: Any, observation: Any) -> Rule:
        score: Any = 1.0
        for rubric in self._rubric_list:
            score = yield rubric(action, observation)
            if score == 0.0:
                return 0.0
        return score

    def _before_plainly(self, action: Any, observation: Any) -> int:
        # Without children there is nothing to await.
        return super()._before_plainly(action, observation) if self._rubric_list else 0

    def _awaits(self, score: Any) -> bool:
        return score != 0.0 and asyncio._get_running_loop() is not None

    def __len__(self) -> int:
        return len(self._rubric_list)

    def __getitem__(self, index: int) -> Rubric:
        return self._rubric_list[index]


class Gate(_Joined):
    """The score of a rubric, or 0.0 where that is below a threshold. The child is `rubric`."""

    def __init__(self, rubric: Rubric, threshold: float = 1.0) -> None:
        super().__init__()
        self.rubric = rubric
        self.threshold = threshold

    def _rule(self, action: Any, observation: Any) -> Rule:
        score = yield self.rubric(action, observation)
        return 0.0 if score < self.threshold else score


class WeightedSum(_Joined):
    """The weighted sum of scores; children that need awaiting run at the same time.

    Args:
        rubrics: the children, `rubric_0`, `rubric_1` and so on.
        weights: one for each; together 1.0.

    Raises:
        ValueError: not one weight for each, or not 1.0 together.
    """

    def __init__(self, rubrics: list[Rubric], weights: list[float]) -> None:
        super().__init__()
        if len(rubrics) != len(weights):
            raise ValueError(f"Number of rubrics ({len(rubrics)}) must match number of weights ({len(weights)})")
        if abs(sum(weights) - 1.0) > 1e-6:
            raise ValueError(f"Weights must sum to 1.0, got {sum(weights)}")
        self._rubric_list = _numbered(self, rubrics)
        self._weights = list(weights)

    @property
    def weights(self) -> list[float]:
        """The weights; changing the list changes nothing."""
        return list(self._weights)

    def _rule(self, action: Any, observation: Any) -> Rule:
        given = [rubric(action, observation) for rubric in self._rubric_list]
        pending = [score for score in given if inspect.iscoroutine(score)]
        if pending:
            awaited = iter((yield _together(pending)))
            given = [next(awaited) if inspect.iscoroutine(score) else score for score in given]
        total = 0.0
        for score, weight in zip(given, self._weights, strict=True):
            total += score * weight
        return total


async def _together(pending: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    return list(await asyncio.gather(*pending))


class _Kept(Rubric):
    """Rubrics kept for a parent rubric that combines them."""

    def forward(self, action: Any, observation: Any) -> Any:
        name = type(self).__name__
        raise NotImplementedError(
            f"{name}.forward() is not implemented. Use {name} within a parent rubric that defines aggregation."
        )


class RubricList(_Kept):
    """Rubrics by index, as children `rubric_0`, `rubric_1` and so on."""

    def __init__(self, rubrics: Iterable[Rubric] | None = None) -> None:
        super().__init__()
        self._rubrics: list[Rubric] = []
        self.extend(rubrics or ())

    def append(self, rubric: Rubric) -> None:
        """Add one at the end."""
        setattr(self, f"rubric_{len(self._rubrics)}", rubric)
        self._rubrics.append(rubric)

    def extend(self, rubrics: Iterable[Rubric]) -> None:
        """Add several at the end."""
        for rubric in rubrics:
            self.append(rubric)

    def __len__(self) -> int:
        return len(self._rubrics)

    def __getitem__(self, index: int) -> Rubric:
        return self._rubrics[index]

    def __iter__(self) -> Iterator[Rubric]:
        return iter(self._rubrics)


class RubricDict(_Kept):
    """Rubrics by name, as children of that name."""

    def __init__(self, rubrics: Mapping[str, Rubric] | None = None) -> None:
        super().__init__()
        self._rubric_dict: dict[str, Rubric] = {}
        self.update(rubrics or {})

    def __setitem__(self, key: str, rubric: Rubric) -> None:
        setattr(self, key, rubric)
        self._rubric_dict[key] = rubric

    def __getitem__(self, key: str) -> Rubric:
        return self._rubric_dict[key]

    def __contains__(self, key: object) -> bool:
        return key in self._rubric_dict

    def __len__(self) -> int:
        return len(self._rubric_dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rubric_dict)

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._rubric_dict.keys()

    def values(self) -> ValuesView[Rubric]:
        """Return the rubrics."""
        return self._rubric_dict.values()

    def items(self) -> ItemsView[str, Rubric]:
        """Return the names with their rubrics."""
        return self._rubric_dict.items()

    def update(self, rubrics: Mapping[str, Rubric]) -> None:
        """Add several, or replace them."""
        for name, rubric in rubrics.items():
            self[name] = rubric


def _numbered(parent: Rubric, rubrics: Iterable[Rubric]) -> list[Rubric]:
    listed = list(rubrics)
    for index, rubric in enumerate(listed):
        setattr(parent, f"rubric_{index}", rubric)
    return listed
