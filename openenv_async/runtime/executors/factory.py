"""Builds an environment where it will live; returns the executor that holds it."""

from __future__ import annotations

import asyncio
from typing import Any

from openenv_async.errors import FactoryError
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.inline import InlineExecutor
from openenv_async.runtime.executors.offload import Offload
from openenv_async.runtime.executors.thread import ThreadExecutor
from openenv_async.runtime.host import Host
from openenv_async.runtime.threads import PinnedThread


async def start_executor(blueprint: Blueprint, session_id: str, timeout_s: float | None) -> Executor:
    """Build the environment, bounded by `timeout_s` seconds.

    Raises:
        FactoryError: the factory raised, took too long, or returned no environment of its own.
        CancelledError: what has been built is closed where it lives.
    """
    if blueprint.execution == "process":
        if blueprint.launcher is None:
            raise FactoryError("execution='process' needs the pool of processes that create_app makes")
        return await blueprint.launcher.start(blueprint, session_id, timeout_s)
    host = Host(blueprint, session_id)
    if blueprint.execution == "inline":
        host.create()
        return InlineExecutor(host, None, session_id)
    thread = blueprint.threads(f"openenv-{session_id}")
    created = thread.run(host.create)
    done, _ = await _wait(created, timeout_s, host, thread)
    if not done:
        _give_up(host, thread, created)
        raise FactoryError(
            f"Environment factory '{blueprint.factory_name}' did not finish within {timeout_s:g} s.",
            factory_name=blueprint.factory_name,
        )
    try:
        created.result()
    except BaseException:
        thread.stop()
        raise
    if blueprint.execution is None and host.is_async:
        if blueprint.keeps_thread:
            return InlineExecutor(host, Offload(session_id, thread), session_id)
        thread.stop()
        return InlineExecutor(host, Offload(session_id), session_id)
    return ThreadExecutor(host, thread, session_id)


async def _wait(
    created: asyncio.Future[None], timeout_s: float | None, host: Host, thread: PinnedThread
) -> tuple[set[Any], set[Any]]:
    try:
        return await asyncio.wait([created], timeout=timeout_s)
    except asyncio.CancelledError:
        _give_up(host, thread, created)
        raise


def _give_up(host: Host, thread: PinnedThread, created: asyncio.Future[None]) -> None:
    # Its caller has gone; what it raises is in the log.
    created.add_done_callback(lambda future: future.cancelled() or future.exception())
    # Queued behind the factory, so that what it builds in the end is closed on its own thread.
    thread.run(host.close_blocking)
    thread.stop()
