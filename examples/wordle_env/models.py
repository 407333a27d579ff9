"""What goes into the environment and what comes out of it, and how a guess is marked.

Agents may use `judge` too: see the solver in `tests/`.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from openenv_async import Action, Observation, State

Mark = Literal["correct", "present", "absent"]


class Row(Struct):
    """A guess that counted, with a mark for each letter."""

    word: str
    marks: list[Mark]


class WordleAction(Action):
    """The agent guesses a word."""

    guess: Annotated[str, Meta(description="A word of five letters", max_length=64)]


class WordleObservation(Observation):
    """What the agent sees. `done`, `reward` and `metadata` come from the base class."""

    message: Annotated[str, Meta(description="What happened, in a sentence")]
    board: Annotated[list[Row], Meta(description="The marked guesses so far")] = field(
        default_factory=list
    )
    guesses_left: int = 0
    answer: Annotated[str | None, Meta(description="The word, once it is over")] = None


class WordleState(State):
    """The episode, for whoever watches. It holds the secret: keep it from the agent."""

    secret: str = ""
    solved: bool = False


def judge(secret: str, guess: str) -> Row:
    """Mark each letter: in its place, elsewhere in the word, or not in it.

    A letter is marked only as often as the secret has it, places first:
    against "lemon", "melee" has one "e" in its place and no other.
    """
    left = Counter(s for s, g in zip(secret, guess, strict=True) if s != g)
    marks: list[Mark] = []
    for in_secret, letter in zip(secret, guess, strict=True):
        if letter == in_secret:
            marks.append("correct")
        elif left[letter] > 0:
            left[letter] -= 1
            marks.append("present")
        else:
            marks.append("absent")
    return Row(word=guess, marks=marks)
