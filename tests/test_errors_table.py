"""The tree of errors: total on the wires, between processes, and in docs/errors.md."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
from typing import Any, assert_type

import pytest
from requirements import requirement
from support import ROOT

from openenv_async import errors
from openenv_async.client import episodes
from openenv_async.client.options import CLIENT_OPTIONS
from openenv_async.conformance import findings
from openenv_async.conformance.schema import actions
from openenv_async.errors import CapacityError, EnvError, InvalidPayload, StepTimeout, from_wire
from openenv_async.hub import failures as hub_failures
from openenv_async.images import errors as image_errors
from openenv_async.limits import Limits
from openenv_async.protocol.error_mapping import describe
from openenv_async.protocol.frames import Failure, encode
from openenv_async.server.runner import ServeOptions
from openenv_async.transport.address import Address

DOC = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


def tree(base: type[EnvError]) -> list[type[EnvError]]:
    return [base, *(found for child in base.__subclasses__() for found in tree(child))]


HOMES = (errors, image_errors, hub_failures, findings, actions)
TREE = [cls for cls in tree(EnvError) if cls.__module__ in {home.__name__ for home in HOMES}]
OURS = [cls for cls in TREE if cls.__module__ == errors.__name__]
EVERY = pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)

SAMPLES: dict[str, dict[str, Any]] = {
    "InvalidPayload": {"path": "moves[0].x", "errors": [{"type": "t", "loc": ["moves", 0, "x"], "msg": "m"}]},
    "EnvironmentFailed": {"exception_type": "ValueError", "error_id": "abc"},
    "StepTimeout": {"timeout_s": 1.5, "session_usable": True},
    "CapacityError": {"active_sessions": 1, "max_sessions": 1, "waiting": 0, "retry_after_s": 1.0},
    "FactoryError": {"factory_name": "f", "exception_type": "OSError", "error_id": "abc"},
    "BuildFailed": {"output": ("a", "b"), "hint": "h"},
    "PushFailed": {"hint": "h"},
}


def sample(cls: type[EnvError]) -> EnvError:
    return cls("what was wrong", **SAMPLES.get(cls.__name__, {"limit": 5}))


def same(one: EnvError, other: EnvError) -> bool:
    return (
        type(one) is type(other)
        and (str(one), one.message, one.args) == (str(other), other.message, other.args)
        and (one.code, one.fault, one.retryable, one.details)
        == (other.code, other.fault, other.retryable, other.details)
    )


@requirement("errors:taxonomy")
@EVERY
def test_every_class_says_code_fault_and_retryable(cls: type[EnvError]) -> None:
    assert cls.code == cls.code.upper()
    assert cls.fault in ("task", "infrastructure")
    assert isinstance(cls.retryable, bool)
    assert cls.fault == "infrastructure" or not cls.retryable, "the task fails the same way again"


@requirement("errors:taxonomy")
@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_every_error_arrives_with_its_fields(cls: type[EnvError]) -> None:
    error = sample(cls)
    what = describe(error)
    encode(Failure(1, 2, what.code, what.message, what.details))
    arrived = from_wire(what.code, what.message, what.details)
    assert (arrived.code, arrived.fault, arrived.retryable) == (cls.code, cls.fault, cls.retryable)
    assert arrived.details.items() >= error.details.items()
    for name, value in SAMPLES.get(cls.__name__, {}).items():
        assert getattr(arrived, name) == value
    again = describe(arrived)
    assert (again.code, again.message, again.details) == (what.code, what.message, {**again.details, **what.details})


@requirement("errors:taxonomy")
def test_a_field_has_its_default_where_the_peer_sends_none_or_another_type() -> None:
    full = from_wire("CAPACITY_REACHED", "full", {"retry_after_s": "soon", "waiting": 2})
    assert isinstance(full, CapacityError)
    assert_type(full.retry_after_s, float | None)
    assert (full.retry_after_s, full.waiting, full.max_sessions) == (None, 2, None)
    assert full.details == {"retry_after_s": "soon", "waiting": 2}
    late = from_wire("TIMEOUT", "late", {})
    assert isinstance(late, StepTimeout)
    assert_type(late.session_usable, bool)
    assert late.session_usable is False


@requirement("errors:taxonomy", "errors:of-tomorrow")
def test_what_a_peer_says_of_fault_and_retryable_counts_where_it_makes_sense() -> None:
    told = from_wire("VALIDATION_ERROR", "the frame", {"fault": "infrastructure", "retryable": True})
    assert (type(told), told.fault, told.retryable) == (InvalidPayload, "infrastructure", True)
    for nonsense in ({"fault": "mine", "retryable": "maybe"}, {"fault": None, "retryable": None}, {"fault": ["task"]}):
        error = from_wire("TIMEOUT", "late", nonsense)
        assert (error.fault, error.retryable, error.details) == ("infrastructure", False, {})
    # An OpenEnv server says neither.
    assert from_wire("EXECUTION_ERROR", "boom", {}).fault == "task"
    assert from_wire("CAPACITY_REACHED", "full", {"active_sessions": 1}).retryable
    tomorrow = from_wire("OUT_OF_TEA", "no tea", {"fault": "task", "cups": 0})
    assert (tomorrow.code, tomorrow.fault, tomorrow.details["cups"]) == ("OUT_OF_TEA", "task", 0)
    assert describe(tomorrow).code == "OUT_OF_TEA"
    assert same(pickle.loads(pickle.dumps(tomorrow)), tomorrow)


@requirement("errors:pickled")
@EVERY
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_can_be_pickled_and_copied(cls: type[EnvError], protocol: int) -> None:
    error = sample(cls)
    error.add_note("attempt 2")
    for made in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert same(made, error)
        assert made.__notes__ == ["attempt 2"]


def raise_sample(name: str) -> None:
    raise sample(getattr(errors, name))


@requirement("errors:pickled")
def test_errors_reach_the_parent_of_a_worker_process() -> None:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as workers:
        for name in ("StepTimeout", "SessionLost", "InvalidPayload", "EnvironmentFailed"):
            with pytest.raises(getattr(errors, name)) as raised:
                workers.submit(raise_sample, name).result(30)
            assert same(raised.value, sample(getattr(errors, name)))


@requirement("errors:taxonomy")
@pytest.mark.parametrize("cls", [errors.CapacityError, errors.FactoryError, errors.ServerClosing])
def test_what_a_server_says_without_advice_gets_some(cls: type[EnvError]) -> None:
    assert cls.next_step
    assert str(cls("It is so.")) == f"It is so.; {cls.next_step}"
    assert describe(cls("It is so.")).message == "It is so.", "each side adds its own"


def rows(heading: str) -> list[list[str]]:
    part = DOC.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


@requirement("errors:documented")
def test_the_table_has_every_class_once_and_says_what_the_code_says() -> None:
    said = {name: (code, fault, retryable) for code, name, fault, retryable, _, _ in rows("The table")}
    assert len(said) == len(rows("The table"))
    assert said == {cls.__name__: (cls.code, cls.fault, "yes" if cls.retryable else "no") for cls in OURS}
    sessions = {row[4] for row in rows("The table")}
    assert sessions == {"lives", "gone", "see error", "none", "unchanged"}
    assert all(len(row[5]) > 10 for row in rows("The table"))


@requirement("errors:documented")
def test_the_figures_of_the_page_are_the_codes() -> None:
    limits = Limits()
    assert f"`Limits.state_timeout_s` ({limits.state_timeout_s:g})" in DOC
    assert f"`Limits.create_timeout_s` ({limits.create_timeout_s:g})" in DOC
    assert f"`Limits.close_timeout_s` ({limits.close_timeout_s:g})" in DOC
    assert limits.step_timeout_s is None
    assert (ServeOptions().ping_interval_s, Address(url="").ping_interval_s, Address(url="").ping_timeout_s) == (
        20,
        20,
        20,
    )
    assert (ServeOptions().silence_s, CLIENT_OPTIONS["ping_interval_s"][1].default) == (300, 20)
    assert "half a second, doubling up to 30 s" in DOC
    assert (episodes.FIRST_PAUSE_S, episodes.LONGEST_PAUSE_S) == (0.5, 30.0)
    assert "`message_timeout_s` (60)" in DOC


def test_a_timeout_is_pythons_too() -> None:
    assert isinstance(StepTimeout("late"), TimeoutError)
    assert isinstance(errors.SessionLost("gone"), ConnectionError)
