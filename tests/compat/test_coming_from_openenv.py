"""The page for those who come from OpenEnv: its Python runs, and it names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.compat_server import world
from support.servers import BOUND_S

from openenv_async.compat.modules import ABSENT

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-openenv.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_its_python_runs(block: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    with world() as served:
        script.write_text(block.replace("http://localhost:8000", served.url), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "openenv_async.compat", "--force", str(script)],
            capture_output=True,
            text=True,
            timeout=4 * BOUND_S,
        )
    assert done.returncode == 0, done.stderr
    assert (done.stdout != "") == ("print(" in block)


def test_what_is_not_there_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    providers = "openenv.core.containers.runtime."
    unnamed = {"openenv.auto", "openenv.core.env_server.gradio_theme", "openenv.core.env_server.gradio_ui"}
    assert [
        name for name in ABSENT if not name.startswith(providers) and name not in unnamed and name not in text
    ] == []
