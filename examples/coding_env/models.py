"""What goes into the environment and what comes out of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from openenv_async import Action, Observation


class Check(Struct, forbid_unknown_fields=True):
    """A test of a program: what it reads, and what it must print.

    The program never sees `stdout`, so it cannot pass by ending early or by
    changing the test.
    """

    stdin: str
    stdout: str


class CodingAction(Action):
    """The agent writes a Python program, and may try it on an input."""

    code: Annotated[str, Meta(description="The whole program")]
    stdin: Annotated[str, Meta(description="What it reads in the first run")] = ""


class CodingObservation(Observation):
    """What the agent sees. `done`, `reward` and `metadata` come from the base class."""

    task: Annotated[str, Meta(description="What the program is to do")] = ""
    stdout: str = ""
    stderr: str = ""
    exit_code: Annotated[
        int | None, Meta(description="Negative: the signal that ended it")
    ] = None
    timed_out: Annotated[bool, Meta(description="It ran into the time limit")] = False
    tests_passed: int = 0
    tests_total: int = 0
