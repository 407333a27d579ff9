"""What a process's end and a fork mean for its sync clients; each test runs programs of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requirements import requirement
from support.servers import BOUND_S

if TYPE_CHECKING:
    from support.probe_server import Witness

pytest_plugins = ["support.probe_server"]

PRELUDE = """
import os, sys, threading
from openenv_sync import SyncEnv
from openenv_async.errors import ClientClosed
url, witness = sys.argv[1], int(sys.argv[2])
"""

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def start(url: str, witness: Witness, program: str) -> subprocess.Popen[str]:
    """Start a program. Every warning is an error, but for what newer Pythons say of any fork beside threads."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", PRELUDE + program]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, url, str(witness.port)], env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """End the program's stdin and wait for it."""
    with process:
        try:
            out, err = process.communicate(timeout=BOUND_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run(url: str, witness: Witness, program: str) -> subprocess.CompletedProcess[str]:
    return finish(start(url, witness, program))


def assert_quiet(done: subprocess.CompletedProcess[str], printed: str = "") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


@pytest.mark.parametrize("wire", ["native", "json"])
def test_an_unclosed_client_neither_holds_up_nor_mars_the_exit(server_url: str, witness: Witness, wire: str) -> None:
    done = run(server_url, witness, f"env = SyncEnv(url, wire={wire!r}); env.reset(witness=witness)")
    assert_quiet(done)
    witness.wait_closed()


def test_a_client_of_a_program_that_fails_is_closed_too(server_url: str, witness: Witness) -> None:
    done = run(server_url, witness, "env = SyncEnv(url); env.reset(witness=witness); raise SystemExit(3)")
    assert (done.returncode, done.stderr) == (3, "")
    witness.wait_closed()


def test_a_daemon_threads_call_neither_holds_up_nor_mars_the_exit(server_url: str, witness: Witness) -> None:
    program = start(
        server_url,
        witness,
        """
env = SyncEnv(url)
env.reset(witness=witness)
threading.Thread(target=env.step, args=[{"command": "hang"}], daemon=True).start()
sys.stdin.read()
""",
    )
    witness.wait_hanging()
    assert_quiet(finish(program))
    witness.wait_closed()


def test_a_server_that_an_unclosed_client_owns_is_ended(server_url: str, witness: Witness) -> None:
    done = run(
        server_url,
        witness,
        """
import asyncio
class Slow:
    async def start(self): return url
    async def stop(self):
        await asyncio.sleep(1.5)  # longer than a session is given
        print("stopped", flush=True)
env = SyncEnv(provider=Slow())
env.reset(witness=witness)
""",
    )
    assert_quiet(done, "stopped\n")
    witness.wait_closed()


def test_a_client_may_be_closed_by_an_exit_handler(server_url: str, witness: Witness) -> None:
    done = run(
        server_url,
        witness,
        """
import atexit
env = SyncEnv(url)
atexit.register(lambda: print(env.step({"text": "last"}).observation["text"], env.close()))
env.reset(witness=witness)
""",
    )
    assert_quiet(done, "last None\n")
    witness.wait_closed()


def test_a_program_that_never_connects_starts_no_thread(server_url: str, witness: Witness) -> None:
    assert_quiet(run(server_url, witness, "SyncEnv(url).close(); print(threading.active_count())"), "1\n")


@requirement("sync:after-fork")
@FORK
def test_a_forked_child_makes_its_own_and_leaves_the_parents_alone(server_url: str, witness: Witness) -> None:
    done = run(
        server_url,
        witness,
        """
import gc
env = SyncEnv(url)
env.reset(witness=witness)
dropped = SyncEnv(url)
dropped.reset()
child = os.fork()
if child == 0:
    assert not env.connected
    for call in (env.reset, env.state, env.connect, lambda: env.step({})):
        try:
            call()
        except ClientClosed as exc:
            assert "before fork()" in str(exc) and "make a new SyncEnv" in str(exc), exc
        else:
            raise AssertionError("the parent's session was used")
    del dropped
    gc.collect()
    env.close()
    with SyncEnv(url) as own:
        own.reset()
        assert own.session_id != env.session_id
    left_open = SyncEnv.connect(url)
else:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    env.step({"text": "on"}), dropped.step({}), dropped.close()
    print(env.step({"text": "on"}).reward)
""",
    )
    assert_quiet(done, "2.0\n")
    witness.wait_closed()


@FORK
def test_a_client_that_never_connected_may_be_forked(server_url: str, witness: Witness) -> None:
    done = run(
        server_url,
        witness,
        """
other = SyncEnv.connect(url)
env = SyncEnv(url)
child = os.fork()
print(env.reset(seed=1).observation["text"], flush=True)
env.close()
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
    )
    assert_quiet(done, "seed 1\nseed 1\n")


@FORK
def test_a_fork_during_another_threads_call_disturbs_neither(server_url: str, witness: Witness) -> None:
    program = start(
        server_url,
        witness,
        """
env = SyncEnv(url)
env.reset(witness=witness)
thread = threading.Thread(target=lambda: print(env.step({"command": "hang", "text": "late"}).observation["text"]))
thread.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    with SyncEnv(url) as own:
        print(own.reset().observation["text"], flush=True)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("forked", flush=True)
thread.join()
""",
    )
    assert program.stdin is not None and program.stdout is not None
    witness.wait_hanging()
    program.stdin.write("fork\n")
    program.stdin.flush()
    assert program.stdout.readline() == "seed None\n"
    assert program.stdout.readline() == "forked\n"
    witness.release()
    assert_quiet(finish(program), "late\n")


@FORK
def test_a_worker_of_multiprocessing_leaves_no_session_behind(server_url: str, witness: Witness) -> None:
    done = run(
        server_url,
        witness,
        """
import multiprocessing
parent = SyncEnv.connect(url)
def work():
    global env  # lives until the worker ends
    env = SyncEnv(url)
    env.reset(witness=witness)
worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join(10)
print(worker.exitcode, parent.reset().done)
""",
    )
    assert_quiet(done, "0 False\n")
    witness.wait_closed()


@FORK
def test_a_childs_child_works_like_the_child(server_url: str, witness: Witness) -> None:
    done = run(
        server_url,
        witness,
        """
depth = 0
while depth < 3:
    with SyncEnv(url) as env:
        env.reset()
    kept = SyncEnv.connect(url)
    child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(depth, kept.reset().observation["text"], flush=True)
        break
    depth += 1
""",
    )
    assert_quiet(done, "2 seed None\n1 seed None\n0 seed None\n")
