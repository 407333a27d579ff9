"""Random trees of rubrics, scored: `python rubrics_play.py`. Prints scores and hooks, one JSON line each tree.

Run by OpenEnv's own interpreter, and by ours with `python -m openenv_async.compat`. The trees are the same each time.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from typing import Any

from openenv.core.rubrics import (
    ExponentialDiscountingTrajectoryRubric,
    Gate,
    LLMJudge,
    Rubric,
    RubricDict,
    RubricList,
    Sequential,
    WeightedSum,
)

TREES = 40
DEPTH = 3


class Plain(Rubric):
    def __init__(self, said: list[Any], name: str, score: float) -> None:
        super().__init__()
        self.said, self.name, self.score = said, name, score

    def forward(self, action: Any, observation: Any) -> Any:
        self.said.append(self.name)
        return self.score


class Awaited(Plain):
    async def forward(self, action: Any, observation: Any) -> Any:
        self.said.append(f"{self.name} begins")
        await asyncio.sleep(0)
        self.said.append(f"{self.name} ends")
        return self.score


class Chosen(Rubric):
    """Hands on the call of one of its children."""

    def __init__(self, children: list[Rubric]) -> None:
        super().__init__()
        self.by_index = RubricList(children)
        self.by_name = RubricDict({f"n{index}": child for index, child in enumerate(children)})

    def forward(self, action: Any, observation: Any) -> Any:
        index = action % len(self.by_index)
        return self.by_name[f"n{index}"](action, observation)


class Chess(ExponentialDiscountingTrajectoryRubric):
    def score_trajectory(self, trajectory: list[Any]) -> float:
        return sum(action for action, _ in trajectory) / 7


class Seen:
    def __init__(self, done: bool) -> None:
        self.done = done


class Model:
    async def complete(self, prompt: str, **kwargs: Any) -> str:
        return f"I say {len(prompt) / 100} of 1"


class Grower:
    """Grows trees; what they do is written to `said`."""

    def __init__(self, seed: int, awaited: bool) -> None:
        self.random, self.awaited = random.Random(seed), awaited
        self.said: list[Any] = []
        self.count = 0

    def grow(self, depth: int) -> Rubric:
        self.count += 1
        name = f"r{self.count}"
        kind = self.random.choice(["leaf", "sequence", "gate", "sum", "chosen"]) if depth else "leaf"
        if kind == "leaf":
            made = self.leaf(name)
        elif kind == "gate":
            made = Gate(self.grow(depth - 1), threshold=self.random.choice([0.2, 0.5, 1.0]))
        else:
            children = [self.grow(depth - 1) for _ in range(self.random.randint(0 if kind == "sequence" else 1, 3))]
            made = self.join(kind, children)
        self.hook(made, name)
        return made

    def leaf(self, name: str) -> Rubric:
        kind = Awaited if self.awaited and self.random.random() < 0.4 else Plain
        return kind(self.said, name, self.random.choice([0.0, 0.1, 0.25, 0.5, 1 / 3, 0.9, 1.0, 1]))

    def join(self, kind: str, children: list[Rubric]) -> Rubric:
        if kind == "sequence":
            return Sequential(*children)
        if kind == "chosen":
            return Chosen(children)
        parts = [self.random.randint(1, 9) for _ in children]
        return WeightedSum(children, [part / sum(parts) for part in parts])

    def hook(self, rubric: Rubric, name: str) -> None:
        said = self.said
        if self.random.random() < 0.5:
            rubric.register_forward_pre_hook(lambda r, a, o: said.append(f"before {name}"))
        if self.random.random() < 0.5:
            rubric.register_forward_hook(lambda r, a, o, score: said.append([f"after {name}", score, r.last_score]))


def account(grower: Grower, tree: Rubric, given: list[Any]) -> None:
    scores = {name: rubric.last_score for name, rubric in tree.named_rubrics()}
    print(json.dumps([given, scores, grower.said]), flush=True)  # noqa: T201


def plainly() -> None:
    for seed in range(TREES):
        grower = Grower(seed, awaited=False)
        tree = grower.grow(DEPTH)
        account(grower, tree, [tree(action, None) for action in range(3)])


async def awaiting() -> None:
    for seed in range(TREES):
        grower = Grower(seed, awaited=True)
        tree = grower.grow(DEPTH)
        given: list[Any] = []
        try:
            for action in range(3):
                score = tree(action, None)
                awaits = inspect.iscoroutine(score)
                given.append([awaits, await score if awaits else score])
        except TypeError as exc:  # a rule that reckons with a score it has not awaited
            given.append(type(exc).__name__)
        account(grower, tree, given)


async def judging() -> None:
    judge = LLMJudge("{action} and {observation}", Model())
    print(json.dumps([await judge(action, "seen") for action in ("a", "b" * 40, "c" * 200)]))  # noqa: T201
    print(json.dumps(judge.state_dict(), sort_keys=True))  # noqa: T201


def discounting() -> None:
    for gamma in (0.0, 0.1, 0.9, 0.99, 1.0):
        chess = Chess(gamma=gamma, intermediate_reward=0.05)
        given = [chess(action, Seen(done=action == 8)) for action in range(9)]
        print(json.dumps([given, chess.compute_step_rewards(), chess.state_dict()], sort_keys=True))  # noqa: T201


if __name__ == "__main__":
    plainly()
    asyncio.run(awaiting())
    asyncio.run(judging())
    discounting()
