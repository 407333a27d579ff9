"""`SyncEnv` has what `AsyncEnv` has, and nothing else: names, arguments, results."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from requirements import requirement

from openenv_async import AsyncEnv
from openenv_sync import SyncEnv
from openenv_sync.hooks import HOOKS

SPELLED_ALIKE = ("__init__", *HOOKS)


def public(cls: type[Any]) -> dict[str, Any]:
    return {name: inspect.getattr_static(cls, name) for name in dir(cls) if not name.startswith("_")}


@requirement("sync:mirrors-async")
def test_no_public_name_is_missing_on_either_side() -> None:
    assert public(SyncEnv).keys() == public(AsyncEnv).keys()


@requirement("sync:mirrors-async")
@pytest.mark.parametrize("name", sorted(public(AsyncEnv)))
def test_a_public_member_is_the_async_one_without_await(name: str) -> None:
    ours, theirs = public(SyncEnv)[name], public(AsyncEnv)[name]
    if isinstance(theirs, property):
        assert isinstance(ours, property)
        assert theirs.fget is not None and ours.fget is not None
        assert inspect.signature(ours.fget) == inspect.signature(theirs.fget)
        assert ours.__doc__
        return
    assert isinstance(ours, (staticmethod, classmethod)) == isinstance(theirs, (staticmethod, classmethod))
    bound_ours, bound_theirs = getattr(SyncEnv, name), getattr(AsyncEnv, name)
    assert inspect.signature(bound_ours) == inspect.signature(bound_theirs)
    assert inspect.iscoroutinefunction(bound_theirs)
    assert not inspect.iscoroutinefunction(bound_ours)
    assert bound_ours.__doc__


def test_connect_on_an_instance_is_mirrored_too() -> None:
    ours, theirs = SyncEnv("localhost:1").connect, AsyncEnv[Any, Any, Any]("localhost:1").connect
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert not inspect.iscoroutinefunction(ours)


@pytest.mark.parametrize("name", SPELLED_ALIKE)
def test_what_is_written_the_same_on_both_has_the_same_signature(name: str) -> None:
    assert inspect.signature(getattr(SyncEnv, name)) == inspect.signature(getattr(AsyncEnv, name))


@pytest.mark.parametrize(("ours", "theirs"), [("__enter__", "__aenter__"), ("__exit__", "__aexit__")])
def test_with_mirrors_async_with(ours: str, theirs: str) -> None:
    assert inspect.signature(getattr(SyncEnv, ours)) == inspect.signature(getattr(AsyncEnv, theirs))
    assert inspect.iscoroutinefunction(getattr(AsyncEnv, theirs))
    assert not inspect.iscoroutinefunction(getattr(SyncEnv, ours))
