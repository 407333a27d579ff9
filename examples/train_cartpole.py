"""Learns to balance CartPole with numpy alone, in 64 sessions that a server plays over the network.

    python examples/train_cartpole.py

It starts `openenv serve gym:CartPole-v1` itself, or plays on the server that --url names. All sessions
play an episode at the same time, each in a coroutine of its own; then the policy learns from them.
Needs the extra `bench`: pip install 'openenv-async[bench]'.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from openenv_async import AsyncEnv
from openenv_async.errors import EnvError

Floats = NDArray[np.float64]
PLOT = Path(__file__).resolve().parent.parent / "run" / "train_cartpole.png"
START_S, STOP_S, STEP_S = 60.0, 30.0, 30.0
LAST = 100
"""Episodes that the mean return is taken over."""


class Episode(NamedTuple):
    """What the policy saw at each step, and what it makes of its choice there."""

    seen: Floats
    """The observations, a row for each step."""

    surprise: Floats
    """The action, 0 or 1, less its probability: the gradient of its log-likelihood, but for the observation."""

    rewards: Floats


class Policy:
    """Pushes right with probability sigmoid(weights · observation); learns with REINFORCE and Adam."""

    def __init__(self) -> None:
        self.weights = np.zeros(4)
        self._mean, self._square, self._updates = np.zeros(4), np.zeros(4), 0

    def act(self, observation: Floats, rng: np.random.Generator) -> tuple[int, float]:
        """Choose an action; also give its surprise."""
        right = float(1.0 / (1.0 + np.exp(-self.weights @ observation)))
        action = int(rng.random() < right)
        return action, action - right

    def learn(self, episodes: Sequence[Episode], rate: float = 0.5, discount: float = 0.99) -> None:
        """Make what was followed by more reward than usual more likely."""
        seen = np.concatenate([episode.seen for episode in episodes])
        surprise = np.concatenate([episode.surprise for episode in episodes])
        to_go = np.concatenate([discounted(episode.rewards, discount) for episode in episodes])
        advantage = (to_go - to_go.mean()) / (to_go.std() + 1e-8)
        gradient = (advantage * surprise) @ seen / len(seen)
        self._updates += 1
        self._mean += 0.1 * (gradient - self._mean)
        self._square += 0.01 * (gradient**2 - self._square)
        mean = self._mean / (1 - 0.9**self._updates)
        square = self._square / (1 - 0.99**self._updates)
        self.weights += rate * mean / (np.sqrt(square) + 1e-8)


def discounted(rewards: Floats, discount: float) -> Floats:
    """Give for each step what is still to come, later rewards counting less."""
    to_go = np.zeros_like(rewards)
    total = 0.0
    for step in range(len(rewards) - 1, -1, -1):
        total = rewards[step] + discount * total
        to_go[step] = total
    return to_go


async def play(env: AsyncEnv[Any, Any, Any], policy: Policy, seed: int) -> Episode:
    """Play one episode to its end."""
    # Of its own, so that a run can be repeated though the sessions' answers come in any order.
    rng = np.random.default_rng(seed)
    seen, surprises, rewards = [], [], []
    result = await env.reset(seed=seed)
    while not result.done:
        observation = np.asarray(result.observation["observation"], dtype=np.float64)
        action, surprise = policy.act(observation, rng)
        result = await env.step({"action": action})
        seen.append(observation)
        surprises.append(surprise)
        rewards.append(result.reward or 0.0)
    return Episode(np.array(seen), np.array(surprises), np.array(rewards))


async def train(url: str, options: argparse.Namespace) -> list[float]:
    """Play and learn until the target is reached or the episodes are used up; give the return of every episode."""
    rng = np.random.default_rng(options.seed)
    policy, returns = Policy(), list[float]()
    async with contextlib.AsyncExitStack() as stack:
        envs = [AsyncEnv[Any, Any, Any](url, message_timeout_s=STEP_S) for _ in range(options.sessions)]
        # They share one connection, and their steps travel together.
        await asyncio.gather(*map(stack.enter_async_context, envs))
        with Progress(options.target) as progress:
            while len(returns) < options.max_episodes and mean_of_last(returns) < options.target:
                seeds = rng.integers(2**31, size=len(envs)).tolist()
                plays = [play(env, policy, seed) for env, seed in zip(envs, seeds, strict=True)]
                episodes = await asyncio.gather(*plays)
                returns += [float(episode.rewards.sum()) for episode in episodes]
                progress.show(returns, sum(len(episode.rewards) for episode in episodes))
                policy.learn(episodes)
    return returns


def mean_of_last(returns: Sequence[float]) -> float:
    """Give the mean over the last episodes; 0 while there are too few."""
    return float(np.mean(returns[-LAST:])) if len(returns) >= LAST else 0.0


class Progress:
    """A bar from nothing to the target in a terminal, lines elsewhere."""

    def __init__(self, target: float) -> None:
        shape = "mean return {n:.0f} of {total:.0f} |{bar}| {elapsed} {postfix}"
        self._target = target
        self._bar = tqdm(total=target, bar_format=shape) if sys.stderr.isatty() else None
        self._begin, self._steps = time.monotonic(), 0

    def show(self, returns: Sequence[float], steps: int) -> None:
        """Tell how far it is after some more steps."""
        self._steps += steps
        mean, rate = mean_of_last(returns), self._steps / (time.monotonic() - self._begin)
        text = f"{len(returns)} episodes, {self._steps:,} steps, {rate:,.0f} steps/s"
        if self._bar is None:
            print(f"mean return {mean:6.1f} after {text}", flush=True)
        else:
            self._bar.n = min(mean, self._target)
            self._bar.set_postfix_str(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


@contextlib.asynccontextmanager
async def served(sessions: int) -> AsyncIterator[str]:
    """Serve CartPole in a child process and give its address."""
    # CartPole only computes, for microseconds: the event loop itself can do that, without a thread for each session.
    options = ["--port", "0", "--execution", "inline", "--max-sessions", str(sessions)]
    command = [sys.executable, "-m", "openenv_async.cli", "serve", "gym:CartPole-v1", *options]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(START_S):
            url = await address_of(server)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await server.wait()
        except TimeoutError:
            server.kill()
            await server.wait()


async def address_of(server: asyncio.subprocess.Process) -> str:
    """Read what the server prints until it says where it listens."""
    assert server.stdout is not None
    while line := await server.stdout.readline():
        if found := re.search(rb"http://[^\s/]+:\d+", line):
            return found[0].decode()
    sys.exit("The server ended before it listened; see above.")


def draw(returns: Sequence[float], options: argparse.Namespace) -> None:
    """Draw the learning curve."""
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    axes.plot(returns, ".", color="0.75", markersize=3, label="an episode")
    if len(returns) >= LAST:
        means = np.convolve(returns, np.full(LAST, 1 / LAST), mode="valid")
        axes.plot(np.arange(LAST, len(returns) + 1), means, color="C0", label=f"mean of the last {LAST}")
    axes.axhline(options.target, color="C3", linestyle="--", linewidth=1, label=f"target {options.target:g}")
    title = f"CartPole over the network, {options.sessions} sessions at once"
    axes.set(xlabel="episode", ylabel="return", title=title)
    axes.legend()
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.plot, dpi=120, bbox_inches="tight")


async def run(options: argparse.Namespace) -> list[float]:
    async with contextlib.nullcontext(options.url) if options.url else served(options.sessions) as url:
        return await train(url, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="a server of gym:CartPole-v1; by default one is started")
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--target", type=float, default=195.0, help=f"mean return over {LAST} episodes to stop at")
    parser.add_argument("--max-episodes", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the learning curve goes")
    options = parser.parse_args()
    begin = time.monotonic()
    try:
        returns = asyncio.run(run(options))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    except EnvError as error:
        sys.exit(str(error))
    mean = mean_of_last(returns)
    draw(returns, options)
    print(f"Mean return {mean:.1f} after {len(returns)} episodes and {time.monotonic() - begin:.1f} s.")
    print(f"The learning curve is in {options.plot}.")
    if mean < options.target:
        sys.exit(f"The target, {options.target:g}, was not reached.")


if __name__ == "__main__":
    main()
