"""Checks of the built pages that mkdocs does not make itself; mkdocs.yml names this file as a hook."""

from __future__ import annotations

import logging
from typing import Any

import openenv_async
import openenv_sync

# mkdocs counts what its own loggers are told, and `--strict` fails on a warning.
logger = logging.getLogger("mkdocs.hooks.site_checks")


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """Check that the reference describes every public name."""
    if page.file.src_uri == "reference.md":
        for package in (openenv_async, openenv_sync):
            for name in package.__all__:
                if name != "errors" and f'id="{package.__name__}.{name}"' not in html:
                    logger.warning("reference.md does not describe %s.%s", package.__name__, name)
    return html
