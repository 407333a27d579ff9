"""`openenv serve --no-metrics`, `--otel`: switched on and off from the command line, also under `--reload`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from requirements import requirement
from support.serve_command import serving, write_env


@requirement("metrics:off")
@pytest.mark.parametrize("reload", [False, True])
def test_metrics_are_on_unless_they_are_not_wanted(reload: bool, tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    more = ("--reload",) if reload else ()
    for options, status in (((), 200), (("--no-metrics",), 501)):
        with serving("my_env", "--port", "0", *options, *more, cwd=tmp_path) as server:
            assert httpx.get(f"{server.url()}/metrics", timeout=30).status_code == status
            server.process.send_signal(signal.SIGTERM)
            assert server.end()[0] == 0


def test_otel_without_its_packages_is_refused_with_what_to_install(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    program = (
        "import openenv_async.tracing as tracing\ntracing._NEEDED = ('opentelemetry_that_is_not_there.sdk',)\n"
        "from openenv_async.cli import main\nmain(['serve', 'my_env', '--port', '0', '--otel'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "--otel: OpenTelemetry is not installed: pip install 'openenv-async[otel]'" in done.stderr
