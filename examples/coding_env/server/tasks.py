"""What `reset()` asks for when the trainer brings no tests of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING or __package__ != "server":
    from ..models import Check
else:  # started inside the project folder, where `models` is at the top
    from models import Check


class Task(NamedTuple):
    """What the agent reads, and the tests that it does not."""

    text: str
    tests: list[Check]


TASKS = (
    Task(
        "Read integers, one per line, and print their sum.",
        [
            Check(stdin="1\n2\n3\n", stdout="6"),
            Check(stdin="-5\n5\n", stdout="0"),
            Check(stdin="12345678901234567890\n1\n", stdout="12345678901234567891"),
        ],
    ),
    Task(
        "Read one line and print its words in reverse order, separated by a space.",
        [
            Check(stdin="to be or not\n", stdout="not or be to"),
            Check(stdin="  alone \n", stdout="alone"),
        ],
    ),
    Task(
        "Read an integer n and print the primes up to n, one per line.",
        [
            Check(stdin="10\n", stdout="2\n3\n5\n7"),
            Check(stdin="2\n", stdout="2"),
            Check(stdin="20\n", stdout="2\n3\n5\n7\n11\n13\n17\n19"),
        ],
    ),
)
