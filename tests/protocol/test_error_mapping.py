"""Exceptions on their way to a peer: every one becomes something that both wires carry, and nothing leaks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from openenv_async import errors
from openenv_async.errors import (
    CapacityError,
    EnvError,
    EnvironmentFailed,
    InvalidPayload,
    RemoteProtocolError,
    from_wire,
)
from openenv_async.protocol.error_mapping import MOST_TEXT, WireError, describe, plain, printable, safe_text
from openenv_async.protocol.frames import Failure, encode
from openenv_async.protocol.openenv_json import failure


def tree(base: type[EnvError]) -> Iterator[type[EnvError]]:
    yield base
    for child in base.__subclasses__():
        yield from tree(child)


def travels(what: WireError) -> dict[str, Any]:
    """Take a description over both wires; give its details as they arrive."""
    frame = Failure(1, 2, what.code, what.message, what.details)
    read: dict[str, Any] = msgspec.msgpack.decode(encode(frame))[5]
    sent = json.loads(failure(what))
    assert sent["data"]["message"] == what.message
    assert {key: sent["data"][key] for key in read if key not in ("message", "code")} == {
        key: value for key, value in json.loads(json.dumps(read)).items() if key not in ("message", "code")
    }
    return read


OURS = {cls.__name__: cls for cls in tree(EnvError) if cls.__module__ == errors.__name__}


@pytest.mark.parametrize("cls", OURS.values(), ids=list(OURS))
def test_an_error_of_ours_arrives_as_itself(cls: type[EnvError]) -> None:
    error = cls("what was wrong", limit=5)
    what = describe(error)
    details = travels(what)
    assert (what.code, what.message) == (cls.code, "what was wrong")
    assert (details["fault"], details["retryable"]) == (cls.fault, cls.retryable)
    arrived = from_wire(what.code, what.message, what.details)
    # A frame that the state does not allow is, to its sender, one that is not valid.
    assert isinstance(error, type(arrived)) or cls is RemoteProtocolError
    assert type(arrived).code == cls.code
    assert arrived.details["limit"] == 5


def test_every_error_is_public_and_in_the_drawing() -> None:
    for name, cls in OURS.items():
        assert getattr(errors, name) is cls
        assert f" {name} " in f"{errors.__doc__}".replace("\n", " ")


def test_a_code_of_a_newer_peer_is_an_error_that_shows_it() -> None:
    error = from_wire("OUT_OF_TEA", "no tea", {"cups": 0})
    assert type(error) is EnvError
    assert "no tea" in str(error)
    assert "OUT_OF_TEA" in str(error)


def test_a_bug_of_ours_is_logged_and_its_text_stays_here(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "openenv_async"):
        what = describe(KeyError("/home/someone/secret"))
    assert what.code == "SESSION_ERROR"
    assert "secret" not in what.message + str(what.details)
    error_id = travels(what)["error_id"]
    assert error_id in what.message
    assert f"[error {error_id}]" in caplog.text
    assert "secret" in caplog.text


class Unprintable(Exception):
    def __init__(self, raises: BaseException) -> None:
        self.raises = raises

    def __str__(self) -> str:
        raise self.raises

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class SubText(str):
    """A `str` whose methods misbehave, as an author's text may."""

    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "raises", [ValueError("x"), RecursionError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
def test_an_exception_without_printable_text_has_a_text(raises: BaseException) -> None:
    text = safe_text(Unprintable(raises))
    assert "Unprintable" in text
    assert type(raises).__name__ in text


def test_a_str_that_gives_no_text_has_a_text() -> None:
    assert "NoText" in safe_text(NoText())
    assert safe_text(ValueError(SubText("x"))) == "x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("é\u20ac\U0001f600", "é\u20ac\U0001f600"), ("a\ud800b", "a\\ud800b"), ("\x00\n", "\x00\n")],
)
def test_lone_surrogates_are_spelt_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert safe_text(ValueError(text)) == shown


def test_a_very_long_text_is_cut_and_says_so() -> None:
    text = safe_text(ValueError("x" * (MOST_TEXT + 1000)))
    assert len(text) < MOST_TEXT + 100
    assert text.endswith("(1,000 more characters)")
    assert safe_text(ValueError("x" * MOST_TEXT)) == "x" * MOST_TEXT


def test_an_error_with_lone_surrogates_everywhere_travels() -> None:
    bad = "\udcff"
    error = EnvironmentFailed(f"no {bad}", exception_type=bad, **{bad: [{bad: bad}]})
    travels(describe(error))


class Uninitialised(InvalidPayload):
    def __init__(self) -> None:
        """Never calls our constructor."""


def test_an_error_that_skipped_our_constructor_travels() -> None:
    what = describe(Uninitialised())
    assert (what.code, what.message) == ("VALIDATION_ERROR", "Uninitialised")
    travels(what)


@dataclass
class Point:
    x: int


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    __str__ = __repr__


class HostileKey(Hostile):
    def __hash__(self) -> int:
        return 1


class HostileMapping(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no items")


LOOP: list[Any] = []
LOOP.append(LOOP)

DETAILS: dict[str, tuple[Any, Any]] = {
    "None": (None, None),
    "bool": (True, True),
    "text": ("é", "é"),
    "small integer": (-3, -3),
    "integer beyond 64 bits": (2**200, str(2**200)),
    "negative integer beyond 64 bits": (-(2**70), str(-(2**70))),
    "integer too long to print": (10**5000, "<int>"),
    "float": (1.5, 1.5),
    "infinity": (float("inf"), "inf"),
    "NaN": (float("nan"), "nan"),
    "tuple": ((1, "a"), [1, "a"]),
    "set": ({1}, "<set>"),
    "bytes": (b"x", "<bytes>"),
    "object": (object(), "<object>"),
    "class": (int, "<type>"),
    "dataclass": (Point(1), "<Point>"),
    "unprintable object": (Hostile(), "<Hostile>"),
    "keys of other types": ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
    "unprintable key": ({HostileKey(): 1}, {"<HostileKey>": 1}),
    "mapping that raises": (HostileMapping(a=1), "<HostileMapping>"),
    "nested": ({"a": [{"b": (1,)}]}, {"a": [{"b": [1]}]}),
    "too deep": ([[[[[1]]]]], [[[["<list>"]]]]),
    "holding itself": (LOOP, [[[["<list>"]]]]),
    "text that misbehaves": (SubText("x"), "x"),
}


@pytest.mark.parametrize(("value", "expected"), DETAILS.values(), ids=list(DETAILS))
def test_details_of_any_type_travel(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    what = describe(CapacityError("full", odd=value))
    assert travels(what)["odd"] == expected


def test_details_of_the_wire_cannot_be_overridden_by_an_errors_own() -> None:
    details = travels(describe(InvalidPayload("x", path="p", fault="nobody", retryable="maybe")))
    assert (details["fault"], details["retryable"], details["path"]) == ("task", False, "p")
