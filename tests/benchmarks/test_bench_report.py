"""The arithmetic and the wording of the benchmark's report. Measures nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import arguments
from benchmarks.drivers.load import Session, sum_up
from benchmarks.plan import Plan
from benchmarks.plot import draw
from benchmarks.rounds import Goal, Row, alternate, alternate_quietly, paired_ratio

FACTS = {"machine": "a machine", "ours": "openenv-async 0"}


def row(ours: list[float], peer: list[float], goal: Goal | None = None, error: str | None = None) -> Row:
    return Row("group", "a measure", "steps/s", ours=ours, peer=peer, goal=goal, error=error)


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    rows = [row([100.0, 110.0], [50.0, 60.0]), row([], [], error="it failed")]
    assert draw(rows, FACTS, tmp_path / "new").read_bytes().startswith(b"\x89PNG")


def test_a_quiet_run_says_nothing_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    Plan(peer=Path(), quiet=True).say("something")
    Plan(peer=Path()).say("something else")
    assert capsys.readouterr().err.endswith("something else\n") and arguments(["--quiet"]).quiet


def test_rounds_alternate_in_the_order_given() -> None:
    order: list[str] = []

    def playing(name: str) -> Callable[[], int]:
        def play() -> int:
            order.append(name)
            return len(order)

        return play

    played = alternate({"ours": playing("ours"), "peer": playing("peer")}, 3)
    assert order == ["ours", "peer"] * 3
    assert played == {"ours": [1, 3, 5], "peer": [2, 4, 6]}


def turns(*values: float) -> Callable[[], float]:
    left = iter(values)
    return lambda: next(left)


def test_noisy_turns_are_played_again_and_left_out() -> None:
    # The values are the noise itself. The second turn is noisy on one side only.
    played = alternate_quietly(
        {"ours": turns(0.1, 0.0, 0.2, 0.9), "peer": turns(0.0, 0.8, 0.1, 0.9)},
        2,
        lambda noise: noise,
        quiet=0.25,
        extra=2,
    )
    assert played == {"ours": [0.1, 0.2], "peer": [0.0, 0.1]}


def test_the_quietest_turns_are_kept_in_order_when_none_is_quiet() -> None:
    played = alternate_quietly({"ours": turns(0.9, 0.5, 0.7)}, 2, lambda noise: noise, quiet=0.25, extra=1)
    assert played == {"ours": [0.5, 0.7]}


def test_a_quiet_machine_plays_no_more_than_asked() -> None:
    assert alternate_quietly({"ours": turns(0.0, 0.1)}, 2, lambda noise: noise) == {"ours": [0.0, 0.1]}


def test_ratio_is_taken_within_pairs_before_the_median() -> None:
    # The machine slows threefold after the first pair: the medians' ratio would be 10/20, the pairs say 10.
    assert paired_ratio([300, 100, 100], [30, 10, 10]) == 10
    assert paired_ratio([100, 10, 10], [10, 1, 2]) == 10


@pytest.mark.parametrize(("ours", "peer"), [([], []), ([1.0], []), ([1.0], [0.0])])
def test_ratio_of_nothing_is_none(ours: list[float], peer: list[float]) -> None:
    assert paired_ratio(ours, peer) is None


@pytest.mark.parametrize(
    ("goal", "ours", "peer", "reached"),
    [
        (Goal("ratio at least", 10), [100.0], [10.0], True),
        (Goal("ratio at least", 10), [99.0], [10.0], False),
        (Goal("ratio at most", 0.8), [0.8], [1.0], True),
        (Goal("ratio at most", 0.8), [0.9], [1.0], False),
        (Goal("value at most", 16), [15.0, 17.0, 16.0], [500.0], True),
        (Goal("value at most", 16), [17.0], [], False),
        (Goal("ratio at least", 1), [], [], False),
        (None, [1.0], [1.0], None),
    ],
)
def test_goals(goal: Goal | None, ours: list[float], peer: list[float], reached: bool | None) -> None:
    assert row(ours, peer, goal).reached is reached


def test_a_failed_measure_misses_its_goal_and_is_shown_with_its_error() -> None:
    failed = row([], [], Goal("ratio at least", 10), error="ChildFailed: ended without an answer")
    text = report.table([failed], FACTS)
    assert failed.reached is False
    assert report.missed([failed]) == [failed]
    assert "FAILED a measure\nChildFailed: ended without an answer" in text
    assert "0 of 1 goals reached, 1 measures failed" in text


def test_a_failed_measure_without_a_goal_counts_as_missed_too() -> None:
    failed = row([], [], error="ChildFailed: x")
    assert report.missed([failed, row([1.0], [1.0])]) == [failed]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (0.0312, "0.0312"), (0.333, "0.33"), (9.876, "9.88"), (45.67, "45.7"), (12345.6, "12,346")],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert report.figure(value) == text


def test_table_lines_up_and_names_goal_and_verdict() -> None:
    good = row([1000.0], [50.0], Goal("ratio at least", 10))
    good.extra = {"ours server": 5.0, "peer server": 80.0}
    text = report.table([good], FACTS)
    lines = text.splitlines()
    assert "machine: a machine" in lines
    heading = next(i for i, line in enumerate(lines) if line.startswith("measure"))
    assert [len(rule) for rule in lines[heading + 1].split()][:2] == [len("a measure"), len("1,000 steps/s")]
    assert lines[heading + 2].split() == [
        "a",
        "measure",
        "1,000",
        "steps/s",
        "50.0",
        "steps/s",
        "20.0x",
        ">=",
        "10x",
        "yes",
    ]
    cpu = next(line for line in lines if line.startswith("CPU per step"))
    assert lines[lines.index(cpu) + 2].split() == ["a", "measure", "5.00", "80.0", "-", "-", "0.0625x"]
    assert lines[-1] == "1 of 1 goals reached"


def test_json_holds_every_round(tmp_path: Path) -> None:
    path = report.write_json([row([2.0, 4.0], [1.0, 1.0], Goal("ratio at least", 2))], FACTS, tmp_path / "new")
    measure = json.loads(path.read_text())["measures"][0]
    assert (measure["ours"], measure["peer"]) == ([2.0, 4.0], [1.0, 1.0])
    assert (measure["ours_median"], measure["ratio"], measure["reached"]) == (3.0, 3.0, True)
    assert measure["goal"] == {"target": "ratio at least", "limit": 2}


def test_latencies_are_the_times_between_steps() -> None:
    def nothing() -> None:
        raise AssertionError("not called")

    def check(result: object, played: int) -> None:
        raise AssertionError("not called")

    slow = Session(nothing, check, nothing, times=[0.0, 1.0, 2.0, 3.0])
    fast = Session(nothing, check, nothing, times=[0.0, 1.0, 2.0])
    answer = sum_up([slow, fast], 0.0, 0.5)
    assert (answer["steps"], answer["wall_s"], answer["cpu_s"]) == (5, 3.0, 0.5)
    assert math.isclose(answer["latency_p50_s"], 1.0)
