"""The table of the checks, the page that explains them, and the tests that prove them."""

from __future__ import annotations

import re
from pathlib import Path

from bad_server import SINS
from requirements import requirement
from test_chaos_servers import FOUND

from openenv_async.conformance.chaos.run import ids

PAGE = Path(__file__).parents[2] / "docs" / "check.md"


def test_every_sin_is_looked_for() -> None:
    assert FOUND.keys() == SINS.keys()


@requirement("check:documented")
def test_the_page_explains_every_check_in_order() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", page, re.MULTILINE) == ids(chaos=True)
