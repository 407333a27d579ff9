"""Rubrics: scores, children, hooks, coroutines, trajectories and the judge. The figures are 0.10.0's."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from requirements import requirement

from openenv_async.compat.rubrics import (
    ExponentialDiscountingTrajectoryRubric,
    Gate,
    LLMJudge,
    Rubric,
    RubricDict,
    RubricList,
    Sequential,
    TrajectoryRubric,
    WeightedSum,
)


class Fixed(Rubric):
    def __init__(self, score: float, said: list[str] | None = None, name: str = "") -> None:
        super().__init__()
        self.score, self.said, self.name = score, said if said is not None else [], name

    def forward(self, action: Any, observation: Any) -> Any:
        self.said.append(self.name)
        return self.score


class Awaited(Fixed):
    async def forward(self, action: Any, observation: Any) -> Any:
        await asyncio.sleep(0)
        self.said.append(self.name)
        return self.score


class Outcome(ExponentialDiscountingTrajectoryRubric):
    def score_trajectory(self, trajectory: Any) -> float:
        return float(trajectory[-1][1].score)


async def scored(rubric: Rubric) -> Any:
    given = rubric("a", "o")
    return await given if inspect.isawaitable(given) else given


@requirement("compat-client:rubrics")
@pytest.mark.parametrize(
    ("rubric", "score"),
    [
        (Fixed(0.25), 0.25),
        (Sequential(), 1.0),
        (Sequential(Fixed(0.5), Fixed(0.75)), 0.75),
        (Sequential(Fixed(0.5), Fixed(0.0), Fixed(0.75)), 0.0),
        (Gate(Fixed(0.5)), 0.0),
        (Gate(Fixed(0.5), threshold=0.5), 0.5),
        (WeightedSum([Fixed(0.1), Fixed(0.7), Fixed(0.3)], [0.2, 0.5, 0.3]), 0.45999999999999996),
        (Sequential(Gate(Fixed(1.0)), WeightedSum([Fixed(0.3), Gate(Fixed(0.2), 0.1)], [0.7, 0.3])), 0.27),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores(rubric: Rubric, score: float) -> None:
    assert rubric("a", "o") == score
    assert rubric.last_score == score
    if type(rubric) is not Fixed:
        assert rubric.forward("a", "o") == score


@requirement("compat-client:rubrics")
@pytest.mark.parametrize(
    ("make", "score", "ran"),
    [
        (lambda s: Sequential(Awaited(0.5, s, "a"), Fixed(0.75, s, "b")), 0.75, ["a", "b"]),
        (lambda s: Sequential(Fixed(0.5, s, "a"), Awaited(0.0, s, "b"), Fixed(1, s, "c")), 0.0, ["a", "b"]),
        (lambda s: Sequential(Fixed(0.5, s, "a"), Awaited(0.2, s, "b"), Awaited(0.4, s, "c")), 0.4, ["a", "b", "c"]),
        (lambda s: Gate(Awaited(0.5, s, "a"), 0.6), 0.0, ["a"]),
        (lambda s: WeightedSum([Awaited(1, s, "a"), Fixed(0.5, s, "b")], [0.4, 0.6]), 0.7, ["b", "a"]),
        (lambda s: Gate(WeightedSum([Awaited(1, s, "a"), Awaited(0, s, "b")], [0.9, 0.1]), 0.5), 0.9, ["a", "b"]),
    ],
)
async def test_children_that_are_awaited(make: Any, score: float, ran: list[str]) -> None:
    said: list[str] = []
    rubric = make(said)
    given = rubric("a", "o")
    assert inspect.iscoroutine(given)
    assert await given == pytest.approx(score)
    assert rubric.last_score == pytest.approx(score)
    assert said == ran


async def test_awaited_children_of_a_sum_run_at_the_same_time() -> None:
    inside = [asyncio.Event(), asyncio.Event()]

    class Waiting(Rubric):
        def __init__(self, me: int) -> None:
            super().__init__()
            self.me = me

        async def forward(self, action: Any, observation: Any) -> float:
            inside[self.me].set()
            await asyncio.wait_for(inside[1 - self.me].wait(), 5)
            return 1.0

    assert await WeightedSum([Waiting(0), Waiting(1)], [0.5, 0.5])("a", "o") == 1.0


async def test_inside_a_loop_a_sequence_of_plain_rubrics_gives_a_coroutine_unless_it_is_zero() -> None:
    assert inspect.iscoroutine(given := Sequential(Fixed(0.5))("a", "o"))
    assert await given == 0.5
    assert Sequential(Fixed(0.0))("a", "o") == 0.0
    assert Gate(Fixed(1.0))("a", "o") == 1.0


@pytest.mark.parametrize("child", [Fixed, Awaited])
async def test_hooks_come_before_the_children_and_after_the_score(child: type[Fixed]) -> None:
    said: list[str] = []
    for rubric in (
        Sequential(child(1.0, said, "child")),
        Gate(child(1.0, said, "child")),
        WeightedSum([child(1.0, said, "child")], [1.0]),
        child(1.0, said, "child"),
    ):
        said.clear()
        rubric.register_forward_pre_hook(lambda r, a, o: said.append(f"before {a}{o}"))
        rubric.register_forward_hook(lambda r, a, o, score: said.append(f"after {score} {r.last_score}"))
        await scored(rubric)
        assert said == ["before ao", "child", "after 1.0 1.0"]


async def test_hooks_may_be_async_where_the_score_is() -> None:
    said: list[str] = []
    rubric = Awaited(0.5, said, "child")

    async def before(*_: Any) -> None:
        said.append("before")

    async def after(*_: Any) -> None:
        said.append("after")

    rubric.register_forward_pre_hook(before)
    rubric.register_forward_hook(after)
    assert await rubric("a", "o") == 0.5
    assert said == ["before", "child", "after"]


def test_the_tree() -> None:
    class Code(Rubric):
        def __init__(self) -> None:
            super().__init__()
            self.syntax = Fixed(1.0)
            self.tests = Gate(Fixed(0.5), 0.5)

        def forward(self, action: Any, observation: Any) -> Any:
            return min(self.syntax(action, observation), self.tests(action, observation))

    rubric = Sequential(Code(), Fixed(0.25))
    assert [name for name, _ in rubric.named_children()] == ["rubric_0", "rubric_1"]
    names = ["rubric_0", "rubric_0.syntax", "rubric_0.tests", "rubric_0.tests.rubric", "rubric_1"]
    assert [name for name, _ in rubric.named_rubrics()] == names
    assert [name for name, _ in rubric.named_rubrics("top")] == [f"top.{name}" for name in names]
    assert list(rubric.rubrics()) == [child for _, child in rubric.named_rubrics()]
    assert rubric("a", "o") == 0.25
    assert {name: child.last_score for name, child in rubric.named_rubrics()}["rubric_0.tests"] == 0.5
    assert rubric.get_rubric("rubric_0.tests.rubric").last_score == 0.5
    with pytest.raises(KeyError, match="Rubric path not found: rubric_0.no"):
        rubric.get_rubric("rubric_0.no")
    rubric.load_state_dict({"a": 1})
    rubric.reset()
    assert rubric.state_dict() == {}
    assert (len(rubric), rubric[1].last_score) == (2, 0.25)


def test_keepers() -> None:
    kept = RubricList([Fixed(0.1)])
    kept.append(Fixed(0.2))
    kept.extend([Fixed(0.3)])
    assert [name for name, _ in kept.named_children()] == ["rubric_0", "rubric_1", "rubric_2"]
    assert (len(kept), kept[1]("a", "o"), [rubric.last_score for rubric in kept]) == (3, 0.2, [None, 0.2, None])
    named = RubricDict({"pong": Fixed(0.5)})
    named.update({"chess": Fixed(0.6)})
    named["go"] = Fixed(0.7)
    assert list(named) == list(named.keys()) == ["pong", "chess", "go"]
    assert ("go" in named, "no" in named, len(named), len(list(named.values()))) == (True, False, 3, 3)
    assert [name for name, _ in named.items()] == [name for name, _ in named.named_children()]
    assert named.pong is named["pong"]  # type: ignore[attr-defined]
    for keeper in (kept, named):
        with pytest.raises(NotImplementedError, match=r"forward\(\) is not implemented"):
            keeper("a", "o")


async def test_a_rule_that_hands_an_awaited_childs_call_back() -> None:
    class ByName(Rubric):
        def __init__(self) -> None:
            super().__init__()
            self.games = RubricDict({"slow": Awaited(0.5), "quick": Fixed(0.25)})

        def forward(self, action: Any, observation: Any) -> Any:
            return self.games[action](action, observation)

    rubric = ByName()
    assert rubric("quick", None) == 0.25
    assert await rubric("slow", None) == 0.5
    assert rubric.last_score == 0.5


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.4], [0.5, 0.5, 0.0]])
def test_weights_that_do_not_fit(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"[Ww]eights"):
        WeightedSum([Fixed(1), Fixed(1)], weights)


@requirement("compat-client:rubrics")
def test_discounting() -> None:
    rubric = Outcome(gamma=0.9, intermediate_reward=0.1)
    episode = [SimpleNamespace(done=False, score=0)] * 4 + [SimpleNamespace(done=True, score=0.8)]
    assert [rubric(number, view) for number, view in enumerate(episode)] == [0.1, 0.1, 0.1, 0.1, 0.8]
    assert rubric.compute_step_rewards() == [0.52488, 0.5832, 0.6480000000000001, 0.7200000000000001, 0.8]
    assert [action for action, _ in rubric.trajectory] == [0, 1, 2, 3, 4]
    assert rubric.state_dict() == {"intermediate_reward": 0.1, "gamma": 0.9}
    rubric.reset()
    assert (rubric.trajectory, rubric.compute_step_rewards()) == ([], [])
    rubric.load_state_dict({"gamma": 0.5})
    assert rubric.state_dict() == {"intermediate_reward": 0.1, "gamma": 0.5}
    for gamma, rewards in [(0.0, [0.0, 0.8]), (1.0, [0.8, 0.8])]:
        extreme = Outcome(gamma=gamma)
        for view in episode[-2:]:
            extreme(None, view)
        assert extreme.compute_step_rewards() == rewards
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\]"):
        Outcome(gamma=1.5)
    with pytest.raises(TypeError, match="abstract"):
        TrajectoryRubric()  # type: ignore[abstract]


class Model:
    def __init__(self, answer: str) -> None:
        self.answer, self.asked = answer, ""

    async def complete(self, prompt: str) -> str:
        self.asked = prompt
        return self.answer


@requirement("compat-client:rubrics")
@pytest.mark.parametrize(
    ("answer", "options", "score"),
    [
        ("Score: 0.7 of 1", {}, 0.7),
        ("7", {}, 1.0),
        ("7", {"normalize": False}, 7.0),
        ("none", {"default_score": 0.3}, 0.3),
        ("a=0.2 score=0.9", {"score_pattern": r"score=(\d\.\d)"}, 0.9),
        ("a=0.2", {"score_pattern": r"\d\.\d"}, 0.2),
        ("score=x", {"score_pattern": r"score=(\w)", "default_score": 0.1}, 0.1),
    ],
)
async def test_the_judge(answer: str, options: dict[str, Any], score: float) -> None:
    model = Model(answer)
    judge = LLMJudge("Rate {action} after {observation}.", model, **options)
    assert await judge("x", "y") == score
    assert model.asked == "Rate x after y."
    other = LLMJudge("", model)
    other.load_state_dict(judge.state_dict())
    assert other.state_dict() == judge.state_dict()
    assert await other("x", "y") == score
