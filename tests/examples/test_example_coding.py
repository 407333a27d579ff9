"""The coding example, played over a socket as its README shows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from coding_env import AsyncCodingEnv, Check, CodingAction, CodingEnv
from example_server import served

from openenv_async.errors import StepTimeout

BOUND_S = 20.0
DOUBLE = [Check(stdin="2", stdout="4"), Check(stdin="8", stdout="16")]


class Server(NamedTuple):
    url: str
    folder: Path
    """Where the episodes' own folders are."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("coding")
    with served("examples/coding_env", variables={"TMPDIR": str(folder), "HF_TOKEN": "a secret"}) as url:
        yield Server(url, folder)
    assert list(folder.iterdir()) == []


class Calls:
    """Programs that run somewhere call here and hang; the end of a call is the end of its program."""

    def __init__(self, port: int) -> None:
        self.program = f"import socket\nsocket.create_connection(('127.0.0.1', {port})).recv(1)"
        self._calls: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def took(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.Event()
        self._calls.put_nowait(ended)
        try:
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        finally:
            ended.set()
            writer.close()

    async def next(self) -> asyncio.Event:
        """Wait for a program to start; the event is its end."""
        return await asyncio.wait_for(self._calls.get(), BOUND_S)


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    waiting: asyncio.Future[Calls] = asyncio.get_running_loop().create_future()

    async def took(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.result().took(reader, writer)

    async with await asyncio.start_server(took, "127.0.0.1", 0) as listener:
        waiting.set_result(Calls(listener.sockets[0].getsockname()[1]))
        yield waiting.result()


@pytest.mark.parametrize("wire", ["native", "json"])
async def test_coding_rewards_the_share_of_tests_that_pass(server: Server, wire: Literal["native", "json"]) -> None:
    async with AsyncCodingEnv(server.url, wire=wire, message_timeout_s=BOUND_S) as env:
        first = await env.reset(task="Double a number.", tests=DOUBLE)
        assert (first.observation.task, first.observation.tests_total) == ("Double a number.", 2)
        result = await env.step(CodingAction(code="print(int(input()) + 2)", stdin="40"))
        assert (result.observation.stdout, result.reward, result.done) == ("42\n", 0.5, False)
        result = await env.step(CodingAction(code="raise SystemExit(7)"))
        assert (result.observation.exit_code, result.reward) == (7, 0.0)
        result = await env.step(CodingAction(code="import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"))
        assert (result.observation.exit_code, result.reward) == (-11, 0.0)
        result = await env.step(CodingAction(code="print(2 * int(input()))"))
        assert (result.reward, result.done) == (1.0, True)
        assert (await env.state()).step_count == 4


async def test_coding_chooses_a_task_by_its_seed(server: Server) -> None:
    async def task(seed: int) -> str:
        async with AsyncCodingEnv(server.url, message_timeout_s=BOUND_S) as env:
            return (await env.reset(seed=seed)).observation.task

    tasks = await asyncio.gather(*map(task, range(8)))
    assert len(set(tasks)) > 1
    assert await asyncio.gather(*map(task, range(8))) == tasks


async def test_coding_episodes_have_folders_of_their_own(server: Server) -> None:
    write = "open('mine', 'x').write({number!r})"
    read = "import os\nprint(sorted(os.listdir()), open('mine').read())"

    async def play(number: int) -> str:
        async with AsyncCodingEnv(server.url, message_timeout_s=BOUND_S) as env:
            await env.reset(tests=[])
            await env.step(CodingAction(code=write.format(number=str(number))))
            return (await env.step(CodingAction(code=read))).observation.stdout

    shown = await asyncio.gather(*map(play, range(8)))
    assert shown == [f"['main.py', 'mine'] {number}\n" for number in range(8)]
    # Every session is closed, and its folder removed.
    assert list(server.folder.iterdir()) == []


async def test_coding_ends_a_program_at_its_time_limit(server: Server, calls: Calls) -> None:
    async with AsyncCodingEnv(server.url, message_timeout_s=BOUND_S) as env:
        await env.reset(tests=DOUBLE)
        step = asyncio.create_task(env.step(CodingAction(code=f"print('calling')\n{calls.program}")))
        ended = await calls.next()
        result = await step
        assert (result.observation.timed_out, result.observation.exit_code) == (True, -9)
        assert (result.observation.stdout, result.reward) == ("calling\n", 0.0)
        await asyncio.wait_for(ended.wait(), BOUND_S)


async def test_coding_ends_a_program_when_the_caller_will_not_wait(server: Server, calls: Calls) -> None:
    async with AsyncCodingEnv(server.url, message_timeout_s=BOUND_S) as env:
        await env.reset(tests=[])
        with pytest.raises(StepTimeout) as caught:
            await env.step(CodingAction(code=calls.program), timeout_s=1.5)
        assert caught.value.session_usable
        await asyncio.wait_for((await calls.next()).wait(), BOUND_S)
        assert (await env.step(CodingAction(code="print(1)"))).observation.stdout == "1\n"


async def test_coding_ends_a_program_whose_caller_is_gone(server: Server, calls: Calls) -> None:
    async with AsyncCodingEnv(server.url, message_timeout_s=BOUND_S) as env:
        await env.reset(tests=[])
        step = asyncio.create_task(env.step(CodingAction(code=calls.program)))
        ended = await calls.next()
        step.cancel()
        await asyncio.wait_for(ended.wait(), BOUND_S)
    assert list(server.folder.iterdir()) == []


async def test_coding_hides_the_servers_variables(server: Server) -> None:
    async with AsyncCodingEnv(server.url, message_timeout_s=BOUND_S) as env:
        await env.reset(tests=[])
        shown = (await env.step(CodingAction(code="import os\nprint(os.environ)"))).observation.stdout
        assert "HOME" in shown and "a secret" not in shown


def test_coding_answers_code_without_await(server: Server) -> None:
    with CodingEnv(base_url=server.url) as env:
        env.reset(tests=[])
        assert "ZeroDivisionError" in env.step(CodingAction(code="1 / 0")).observation.stderr
