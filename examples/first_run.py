"""The whole way in one script: write an environment, serve it, play an episode, stop the server.

`make run` starts it. Each step prints the command that does the same by hand.
The environment stays in ./run/my_env: edit it and run this again. Another
folder than ./run can be given as an argument.
"""

from __future__ import annotations

import importlib
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

RUN = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "run").resolve()
PROJECT = f"{RUN.name}/my_env"
OPENENV = [sys.executable, "-m", "openenv_async.cli"]
INIT_S, START_S, STOP_S, STEP_S = 180.0, 30.0, 20.0, 10.0


def main() -> None:
    if (RUN / "my_env").exists():
        print(f"{PROJECT} is there already and is used as it is; `make clean` removes it.")
    else:
        title(f"openenv init my_env --output-dir {RUN.name}")
        command = [*OPENENV, "init", "my_env", "--output-dir", RUN.name]
        subprocess.run(command, cwd=RUN.parent, timeout=INIT_S, check=True)

    title(f"openenv serve {PROJECT} --port 0")
    command = [*OPENENV, "serve", PROJECT, "--port", "0"]
    server = subprocess.Popen(command, cwd=RUN.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        play(address_of(server))
        title("Ctrl-C")
        server.send_signal(signal.SIGINT)
        code = server.wait(STOP_S)
        show("server", f"closed every environment and ended with exit code {code}")
    finally:
        server.kill()
        server.wait(STOP_S)
    if code != 0:
        sys.exit(f"The server should have ended with 0, not {code}.")


def address_of(server: subprocess.Popen[str]) -> str:
    """Read what the server prints until it says where it listens, and pass it on."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (line := lines.get(timeout=START_S)) is not None:
            print(f"  {line}", flush=True)
            if found := re.search(r"http://[^\s/]+:\d+", line):
                return found[0]
    except queue.Empty:
        sys.exit(f"The server did not say where it listens within {START_S:g} s.")
    sys.exit("The server ended before it listened; see above.")


def play(url: str) -> None:
    """One episode with the sync client of the generated package, over the network."""
    title(f'with MyEnv(base_url="{url}") as env:')
    sys.path.insert(0, str(RUN))
    my_env: Any = importlib.import_module("my_env")
    total = 0.0
    with my_env.MyEnv(base_url=url, message_timeout_s=STEP_S) as env:
        result = env.reset(seed=1)
        show("env.reset(seed=1)", f"prompt {result.observation.prompt!r}")
        while not result.done:
            # One wrong answer, to see that it earns nothing.
            word = "what?" if env.state().step_count == 1 else result.observation.prompt
            result = env.step(my_env.MyAction(message=word))
            total += result.reward or 0.0
            show(
                f"env.step(MyAction(message={word!r}))", f"reward {result.reward}, prompt {result.observation.prompt!r}"
            )
        state = env.state()
        show("env.state()", f"{state.step_count} steps in episode {state.episode_id}")
        show("result.done", f"{result.done}, with a total reward of {total}")


def title(text: str) -> None:
    print(f"\n$ {text}", flush=True)


def show(what: str, outcome: str) -> None:
    print(f"  {what:<38}  {outcome}", flush=True)


if __name__ == "__main__":
    main()
