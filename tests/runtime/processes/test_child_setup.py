"""What a process has of the server that it was forked from, and what it has not."""

from __future__ import annotations

import functools
import os
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from requirements import requirement
from support.risky_env import (
    AsyncRisky,
    Risky,
    RiskyAction,
    RiskyObservation,
    nothing_left,
    playing,
    risky_app,
    running,
)
from support.servers import bounded, serving
from support.shared_journal import SharedJournal

from openenv_async import AsyncEnv, ProcessOptions, create_app
from openenv_async.errors import EnvError, FactoryError

BOTH = pytest.mark.parametrize("cls", [Risky, AsyncRisky])


async def said(client: AsyncEnv[Any, Any, Any], do: str, value: Any = None) -> Any:
    return (await bounded(client.step({"do": do, "value": value}))).observation["value"]


@requirement("process:own", "process:no-orphans", "close:once")
@BOTH
async def test_each_session_has_a_process_and_leaves_none(cls: type[Risky]) -> None:
    journal = SharedJournal()
    app = risky_app(lambda: cls(journal))
    async with nothing_left(), running(app), playing(app, 5) as clients:
        pids = {(await client.step({})).observation["pid"] for client in clients}
        assert len(pids) == 5
        assert os.getpid() not in pids
    assert journal.count("closed") == journal.count("built") == 5


@requirement("process:own", "process:no-orphans")
async def test_without_a_lifespan_processes_end_with_the_last_session() -> None:
    class Here(Risky):
        execution = "process"

    async with nothing_left(), playing(create_app(Here, RiskyAction, RiskyObservation)) as (client,):
        assert (await client.step({})).observation["pid"] != os.getpid()


@requirement("process:nothing-inherited")
async def test_a_process_has_only_its_own_sockets_and_pipes() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    ends = os.pipe()
    try:
        # Served on a socket, so that there are connections; the last processes are forked late.
        async with serving(risky_app()) as served, playing(served.url, 4) as clients:
            for client in clients:
                kinds = [line.partition(": ")[2].partition(":")[0] for line in await said(client, "descriptors")]
                kinds = [kind for kind in kinds if kind != "pipe"]
                assert kinds == ["socket"], "its own, to the server"
    finally:
        listening.close()
        for end in ends:
            os.close(end)


@requirement("process:nothing-inherited")
async def test_signal_handlers_are_the_default_ones() -> None:
    async with running(risky_app()) as app, playing(app) as (client,):
        assert await said(client, "signals") == ["SIGINT"]
        assert await said(client, "threads") == 1


async def test_processes_draw_different_random_numbers() -> None:
    import numpy as np

    np.random.seed(7)
    async with running(risky_app()) as app, playing(app, 3) as clients:
        drawn = [tuple(await said(client, "draw")) for client in clients]
    assert len({first for first, _ in drawn}) == len({second for _, second in drawn}) == 3


async def test_what_an_environment_prints_is_in_nobodys_way(capfd: pytest.CaptureFixture[str]) -> None:
    async with running(risky_app()) as app, playing(app) as (client,):
        for _ in range(3):
            await said(client, "print", "hello from the environment\n")
    assert capfd.readouterr().out.count("hello from the environment\n") == 3


@requirement("process:unpicklable")
@pytest.mark.parametrize("preload", [None, True])
async def test_factories_that_nobody_can_pickle(preload: bool | None) -> None:
    lock = threading.Lock()

    class Local(Risky):
        def __init__(self) -> None:
            super().__init__()
            self.lock = lock

        def step(self, action: RiskyAction) -> Any:
            with self.lock:
                return super().step(action)

    for factory in (Local, lambda: Local(), functools.partial(Local)):
        async with running(risky_app(factory, preload=preload)) as app, playing(app) as (client,):
            assert (await client.step({})).observation["count"] == 1


@requirement("process:unpicklable")
async def test_a_factory_that_cannot_be_imported_and_must_be_is_refused_at_the_start() -> None:
    app = risky_app(lambda: Risky(), preload=False)
    with pytest.raises(FactoryError, match="preload=False"):
        async with running(app):
            raise AssertionError("it has started")


LIBRARY = """\
import queue, threading

jobs: queue.Queue = queue.Queue()

def work():
    while True:
        number, answer = jobs.get()
        if answer is None:
            return
        answer.put(2 * number)

worker = threading.Thread(target=work, name="a library's worker", daemon=True)
worker.start()

def double(number):
    answer = queue.Queue()
    jobs.put((number, answer))
    return answer.get(timeout=5)
"""

AUTHOR = """\
from support.risky_env import Risky, RiskyObservation
from a_threaded_library import double

class Doubling(Risky):
    def step(self, action):
        return RiskyObservation(value=double(action.value))
"""


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module whose library starts a thread as it is imported."""
    (tmp_path / "a_threaded_library.py").write_text(LIBRARY)
    (tmp_path / "doubling_author.py").write_text(AUTHOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    import doubling_author  # type: ignore[import-not-found]

    yield doubling_author
    library = sys.modules["a_threaded_library"]
    library.jobs.put((0, None))
    library.worker.join(5)
    for name in ("doubling_author", "a_threaded_library"):
        del sys.modules[name]


@requirement("process:threads")
@pytest.mark.parametrize("preload", [None, False])
async def test_a_library_that_starts_threads_when_it_is_imported(author: ModuleType, preload: bool | None) -> None:
    async with nothing_left(), running(risky_app(author.Doubling, preload=preload)) as app, playing(app) as (client,):
        assert await said(client, "", 21) == 42
        await client.reset()
        assert await said(client, "", 4) == 8


BROKEN = """\
import os
from support.risky_env import Risky

if os.getpid() != %d:
    raise RuntimeError("not here")

class Env(Risky):
    pass
"""


async def test_an_import_that_fails_in_the_process_is_a_factory_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "only_here.py").write_text(BROKEN % os.getpid())
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    async with nothing_left(), running(risky_app(only_here.Env, preload=False)) as app:
        with pytest.raises(EnvError, match="cannot be imported") as caught:
            async with playing(app):
                pass
        assert caught.value.error_id is not None
        assert caught.value.error_id in caplog.text
        assert "RuntimeError: not here" in caplog.text
    del sys.modules["only_here"]


@requirement("process:log")
@pytest.mark.parametrize("sessions", [1, 2])
@BOTH
async def test_the_log_of_a_process_is_in_the_servers(
    cls: type[Risky], sessions: int, caplog: pytest.LogCaptureFixture
) -> None:
    import logging

    class Logging(cls):  # type: ignore[valid-type, misc]
        def _note(self, what: str) -> None:
            if what == "closed":
                logging.getLogger("an.author").warning("the kettle is %s", "empty")

    async with running(risky_app(Logging, sessions_per_process=sessions)) as app, playing(app) as (client,):
        session_id = (await client.reset()).session_id
    record = next(record for record in caplog.records if record.name == "an.author")
    assert record.levelname == "WARNING"
    assert record.getMessage() == f"[session {session_id}] the kettle is empty"


async def test_the_processes_of_an_app_come_back_with_its_next_lifespan() -> None:
    app = create_app(
        Risky, RiskyAction, RiskyObservation, execution="process", processes=ProcessOptions(spare_processes=1)
    )
    async with nothing_left():
        for _ in range(2):
            async with running(app), playing(app) as (client,):
                assert (await client.step({})).observation["count"] == 1
