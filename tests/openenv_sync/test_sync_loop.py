"""The hand-off between a blocking caller and the background loop, with coroutines of the test's own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from openenv_async.errors import ClientClosed, WrongLoop
from openenv_sync import process
from openenv_sync.loop import Portal, _Call

WAIT_S = 10.0


@pytest.fixture
def portal() -> Iterator[Portal]:
    portal = Portal()
    yield portal
    portal.stop()


async def answer(value: int = 1) -> int:
    return value


def interrupt_when(ready: threading.Event, times: int = 1) -> Callable[[], None]:
    """Send SIGINT to this process once the coroutine says that it runs; join with what is returned."""

    def work() -> None:
        assert ready.wait(WAIT_S)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    return lambda: thread.join(WAIT_S)


def test_a_call_gives_the_result_and_the_arguments_arrive(portal: Portal) -> None:
    assert portal.call(answer, value=7) == 7


def test_an_exception_reaches_the_caller(portal: Portal) -> None:
    async def fail() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        portal.call(fail)
    assert portal.call(answer) == 1


def test_a_function_that_fails_before_its_first_await_reaches_the_caller(portal: Portal) -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        portal.call(answer, colour="red")
    assert portal.call(answer) == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_would_end_a_loop_goes_to_the_caller_and_the_loop_goes_on(
    portal: Portal, kind: type[BaseException]
) -> None:
    async def leave() -> None:
        raise kind

    with pytest.raises(kind):
        portal.call(leave)
    assert portal.call(answer) == 1


def test_a_callback_that_breaks_the_loop_does_not_leave_callers_waiting(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    portal.loop.call_soon_threadsafe(leave)
    assert portal.call(answer) == 1
    assert "it goes on" in caplog.text


def test_the_coroutine_runs_with_the_callers_context_variables(portal: Portal) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    name.set("trace-1")

    async def read() -> str:
        return name.get()

    assert portal.call(read) == "trace-1"


def test_the_coroutine_runs_as_a_task_so_that_timeouts_work(portal: Portal) -> None:
    async def wait() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        portal.call(wait)


def test_threads_wait_side_by_side(portal: Portal) -> None:
    inside: list[asyncio.Event] = [asyncio.Event() for _ in range(4)]

    async def meet(me: int) -> int:
        inside[me].set()
        async with asyncio.timeout(WAIT_S):
            for other in inside:  # nobody gets past here alone
                await other.wait()
        return me

    with ThreadPoolExecutor(len(inside)) as pool:
        assert list(pool.map(lambda me: portal.call(meet, me), range(4))) == [0, 1, 2, 3]


def test_a_failed_call_leaves_no_reference_cycle(portal: Portal) -> None:
    class Marked(Exception):
        pass

    async def fail() -> None:
        raise Marked

    gc.disable()
    try:
        seen: list[weakref.ref[Marked]] = []
        try:
            portal.call(fail)
        except Marked as exc:
            seen.append(weakref.ref(exc))
        portal.call(answer)  # the loop has let go of the task that failed
        assert seen[0]() is None
    finally:
        gc.enable()


def test_ctrl_c_cancels_the_call_and_is_raised_at_once(portal: Portal) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def hang() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    join = interrupt_when(began)
    with pytest.raises(KeyboardInterrupt):
        portal.call(hang)
    assert cancelled.is_set(), "the call had ended before the interrupt was raised"
    join()
    assert portal.call(answer) == 1


def test_an_interrupt_right_after_the_call_was_posted_does_not_wait_for_nothing(portal: Portal) -> None:
    began: list[str] = []

    async def never() -> None:
        began.append("the call")

    def post_and_give_up() -> None:  # in one turn of the loop: the task is cancelled before its first step
        call.start()
        call.cancel()

    call = _Call(portal.loop, never, (), {})
    portal.loop.call_soon_threadsafe(post_and_give_up)
    call.wait()
    assert (began, call.finished) == ([], True)


def test_ctrl_c_is_raised_although_the_call_does_not_end(portal: Portal) -> None:
    began = threading.Event()
    release = asyncio.Event()

    async def stubborn() -> None:
        began.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    join = interrupt_when(began)
    with pytest.raises(KeyboardInterrupt):
        portal.call(stubborn)
    join()
    assert portal.call(answer) == 1, "the late end of the interrupted call releases nobody else"
    portal.loop.call_soon_threadsafe(release.set)
    assert portal.call(answer, 2) == 2


def test_any_signal_handler_that_raises_ends_the_wait(portal: Portal) -> None:
    class Alarm(Exception):
        pass

    def ring(signum: int, frame: object) -> None:
        raise Alarm

    async def hang() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        await asyncio.Event().wait()

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(Alarm):
            portal.call(hang)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert portal.call(answer) == 1


class Client:
    def __init__(self, error: Exception | None = None) -> None:
        self.closed, self.error = 0, error

    async def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def test_stop_closes_what_is_held_once_and_refuses_later_calls() -> None:
    portal = Portal()
    held, given_back, broken = Client(), Client(), Client(OSError("gone"))
    for client in (held, given_back, broken):
        portal.hold(client)
    portal.let_go(given_back)
    portal.stop()
    portal.stop()
    assert (held.closed, given_back.closed, broken.closed) == (1, 0, 1)
    with pytest.raises(ClientClosed, match="exiting"):
        portal.call(answer)
    portal.abandon(held)


def test_stop_ends_a_call_that_another_thread_waits_for() -> None:
    portal = Portal()
    began = threading.Event()

    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(portal.call, hang)
        assert began.wait(WAIT_S)
        portal.stop()
        with pytest.raises(ClientClosed, match="exiting"):
            future.result(WAIT_S)


def test_an_abandoned_client_is_closed_without_waiting(portal: Portal) -> None:
    client = Client()
    portal.hold(client)
    portal.abandon(client)
    portal.call(asyncio.sleep, 0)
    portal.call(asyncio.sleep, 0)
    assert client.closed == 1


def test_there_is_one_portal_however_many_ask() -> None:
    with ThreadPoolExecutor(8) as pool:
        portals = set(pool.map(lambda _: process.portal(), range(32)))
    assert len(portals) == 1


def test_the_loop_is_uvloop_where_that_is_installed(portal: Portal) -> None:
    uvloop = pytest.importorskip("uvloop")
    assert isinstance(portal.loop, uvloop.Loop)


async def test_blocking_inside_a_running_loop_is_refused_and_names_the_way_out() -> None:
    with pytest.raises(WrongLoop, match=r"MyEnv\.step\(\).*AsyncEnv.*to_thread"):
        process.refuse_running_loop("MyEnv.step()")
    await asyncio.to_thread(process.refuse_running_loop, "MyEnv.step()")


def test_blocking_on_our_own_loop_is_refused() -> None:
    async def inside() -> None:
        process.refuse_running_loop("MyEnv.step()")

    with pytest.raises(WrongLoop, match="own event loop"):
        process.portal().call(inside)
