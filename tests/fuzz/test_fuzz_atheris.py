"""The coverage-guided harnesses find nothing in a few seconds. They are there where atheris is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from conftest import TEST_ALL
from fuzz_decoders import HARNESSES, fuzz, plant
from requirements import requirement

pytestmark = pytest.mark.slow

INSTALLED = [name for name in HARNESSES if importlib.util.find_spec("atheris") is not None]
SECONDS = 5.0 if TEST_ALL else 1.0


@pytest.mark.parametrize("harness", HARNESSES)
def test_fuzzing_begins_with_messages_of_every_kind(harness: str, tmp_path: Path) -> None:
    plant(tmp_path, harness)
    assert len(list(tmp_path.iterdir())) >= 6


if INSTALLED:

    @requirement("faults:fuzz-decoders")
    @pytest.mark.parametrize("harness", INSTALLED)
    def test_a_few_seconds_find_nothing(harness: str, tmp_path: Path) -> None:
        done = fuzz(harness, SECONDS, tmp_path)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "number_of_executed_units" in done.stdout
