"""The JSON wire under anything: one answer for each message, in order, and the session goes on."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from conftest import TEST_ALL
from fuzz_inputs import JSON, NATIVE
from fuzz_world import Witnesses, bugs, fuzzed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import requirement
from support.raw_clients import raw_json
from support.servers import bounded

from openenv_async.errors import EnvError
from openenv_async.protocol.openenv_json import read_request

pytestmark = pytest.mark.slow

CODES = ("INVALID_JSON", "UNKNOWN_TYPE", "VALIDATION_ERROR", "EXECUTION_ERROR")


def says_goodbye(message: str | bytes) -> bool:
    with contextlib.suppress(EnvError):
        return read_request(message).kind == "close"
    return False


async def _play(url: str, witnesses: Witnesses, messages: list[str | bytes]) -> None:
    async with raw_json(url) as client:
        total: Any = (await client.reset(start=5)).total
        for message in messages:
            if says_goodbye(message):
                continue
            said = await client.say(message)
            assert not said.code or said.code in CODES
            if "total" in said.body:
                total = said.body["total"]
            # This and no other answer has come, and what was refused has changed nothing.
            assert (await client.state()).body["total"] == total
        # A reset may have been given any start at all.
        assert (await client.reset(start=5)).total == 5
        assert (await client.step(n=2)).total == 7
    await witnesses.go_on()


@requirement("faults:fuzz-json")
def test_every_message_gets_one_answer_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with fuzzed() as run:

        @given(messages=st.lists(JSON | NATIVE, min_size=1, max_size=6))
        @settings(deadline=None, max_examples=400 if TEST_ALL else 80, suppress_health_check=list(HealthCheck))
        def example(messages: list[str | bytes]) -> None:
            run(lambda url, witnesses: bounded(_play(url, witnesses, messages)))

        example()
    assert bugs(caplog) == []
