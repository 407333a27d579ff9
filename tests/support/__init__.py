"""What tests share: toy environments, servers and proxies to play on, clients that misbehave."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent

PROGRAMS = Path(__file__).with_name("programs")
"""Programs that tests run in processes of their own."""
