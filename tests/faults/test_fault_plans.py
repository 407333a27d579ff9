"""A seed draws the same faults again, and whoever needs it is told."""

from __future__ import annotations

import pytest
from support.fault_plans import KINDS, SEED, Cuts, Fault, Often, drawn, seeded


def test_a_seed_draws_the_same_faults_for_the_same_connection() -> None:
    def draw(seed: int) -> list[list[Fault]]:
        plan = Cuts(seed, most_bytes=5000, times=50)
        return [list(plan(number)) for number in range(60)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    assert [len(faults) for faults in draw(7)] == [1] * 50 + [0] * 10
    assert drawn(7, 3).random() == drawn(7, 3).random()


def test_a_failure_names_its_seed_and_the_environment_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError) as failed, seeded() as seed:
        raise AssertionError
    assert failed.value.__notes__ == [f"again with the same faults: {SEED}={seed}"]
    monkeypatch.setenv(SEED, "42")
    with seeded() as seed:
        assert seed == 42


def test_other_plans_too() -> None:
    one, again, other = (Often(seed, *KINDS, apart=100, most_s=1.0) for seed in (3, 3, 4))
    assert [one(number) for number in range(50)] == [again(number) for number in reversed(range(50))][::-1]
    assert [one(number) for number in range(50)] != [other(number) for number in range(50)]
    assert {fault.kind for fault in one(1)} == set(KINDS)
