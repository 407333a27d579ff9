"""What is written of the checks: the catalogue, the page that explains them, the tests that prove them."""

from __future__ import annotations

import re
from pathlib import Path

from bad_server import SINS
from requirements import requirement
from test_check_servers import FOUND

from openenv_async.checking.catalogue import ENTRIES, ids
from openenv_async.checking.run import _CALM, _CHAOS

PAGE = Path(__file__).parents[2] / "docs" / "check.md"


def test_every_sin_is_looked_for() -> None:
    assert FOUND.keys() == SINS.keys()


def test_the_checks_are_made_in_the_order_of_the_catalogue() -> None:
    made = [name for name, *_ in (*_CALM, *_CHAOS)]
    assert [*made, "neighbour"] == ids(chaos=True)
    assert ids(chaos=False) == [name for name, *_ in _CALM]


@requirement("check:documented")
def test_the_page_explains_every_check_in_order() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", page, re.MULTILINE) == [entry.id for entry in ENTRIES]
