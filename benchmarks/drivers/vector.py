"""Gymnasium's AsyncVectorEnv on CartPole: one process per environment, no network."""

from __future__ import annotations

import time

import gymnasium
import numpy as np
import psutil

from benchmarks.drivers import speech
from benchmarks.drivers.load import resident_bytes


def main() -> None:
    """Step `sessions` environments in lockstep until told to end."""
    options = speech.options()
    count: int = options["sessions"]
    game = gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="async")
    try:
        game.reset(seed=0)
        actions = np.ones(count, dtype=np.int64)
        speech.tell(ready=True, loop="none")
        while (order := speech.hear())["do"] != "end":
            # The children's time is taken while they live: theirs only joins ours when they have ended.
            workers = psutil.Process().children(recursive=True)
            cpu = time.process_time() + sum(sum(w.cpu_times()[:2]) for w in workers)
            started = time.perf_counter()
            until, rounds = started + order["seconds"], 0
            while time.perf_counter() < until:
                game.step(actions)
                rounds += 1
            wall = time.perf_counter() - started
            spent = time.process_time() + sum(sum(w.cpu_times()[:2]) for w in workers) - cpu
            each = wall / max(rounds, 1)
            speech.tell(
                steps=rounds * count,
                wall_s=wall,
                cpu_s=spent,
                latency_p50_s=each,
                latency_p99_s=each,
                resident_bytes=resident_bytes(),
            )
    finally:
        game.close()


if __name__ == "__main__":
    speech.run(main)
