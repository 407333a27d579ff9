"""Random trees of rubrics score here as on OpenEnv 0.10.0, to the last bit, hooks and their order included."""

from __future__ import annotations

import json

import pytest
from interop_client_programs import GOLDEN, OURS, RUBRICS, run
from requirements import requirement
from support.openenv_peer import peer


@requirement("compat-client:rubrics")
@pytest.mark.parametrize("side", ["openenv", "ours"])
def test_the_same_trees_score_the_same(side: str) -> None:
    interpreter = OURS if side == "ours" else [peer()]
    golden = json.loads((GOLDEN / "rubrics.json").read_text(encoding="utf-8"))
    for line, expected in zip(run([*interpreter, RUBRICS]), golden, strict=True):
        assert line == expected
