"""Reads `KEY=VALUE` options, and `KEY` alone for a value from the environment.

Errors name an option by its position, never by its text, which may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from openenv_async.cli.errors import BadInput

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def key_values(option: str, given: Iterable[str]) -> dict[str, str]:
    """Read the values of a repeatable option; the last value of a key counts.

    Raises:
        BadInput: one cannot be read, or names a variable that is not set.
    """
    read: dict[str, str] = {}
    for place, each in enumerate(given, 1):
        key, equals, value = each.partition("=")
        if not _KEY.fullmatch(key):
            raise BadInput(f"{option} number {place} is not KEY=VALUE with a KEY of letters, digits and _")
        if not equals:
            if key not in os.environ:
                raise BadInput(f"{option} {key} has no value, and no variable {key} is set: write {key}=VALUE")
            value = os.environ[key]
        read[key] = value
    return read
