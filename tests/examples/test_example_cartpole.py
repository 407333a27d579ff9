"""The training example learns over the network, shows how, and says so when it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from example_server import EXAMPLES, ROOT, run_python, served

pytestmark = pytest.mark.slow

SCRIPT = str(EXAMPLES / "train_cartpole.py")


def test_a_policy_is_learned_over_the_network_and_its_curve_drawn(tmp_path: Path) -> None:
    plot = tmp_path / "new" / "curve.png"
    done = run_python("-W", "error", SCRIPT, "--target", "100", "--max-episodes", "1600", "--plot", str(plot), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len([line for line in lines if line.startswith("mean return ")]) > 5
    assert lines[-2].startswith("Mean return 1")
    assert lines[-1] == f"The learning curve is in {plot}."
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_too_few_episodes_are_a_failure_and_the_given_server_goes_on(tmp_path: Path) -> None:
    options = ["--target", "500", "--max-episodes", "32", "--sessions", "16", "--plot", str(tmp_path / "curve.png")]
    with served("gym:CartPole-v1") as url:
        once = run_python(SCRIPT, "--url", url, *options, cwd=ROOT)
        again = run_python(SCRIPT, "--url", url, *options, cwd=ROOT)
    assert (once.returncode, once.stderr) == (1, "The target, 500, was not reached.\n")
    progress = re.findall(r"mean return.* steps,", once.stdout)
    assert len(progress) == 2
    # The same seed gives the same episodes, in whatever order the answers come.
    assert re.findall(r"mean return.* steps,", again.stdout) == progress


def test_no_server_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = run_python(SCRIPT, "--url", "http://127.0.0.1:1", "--plot", str(tmp_path / "curve.png"), cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot connect to http://127.0.0.1:1")
    assert len(done.stderr.splitlines()) == 1
