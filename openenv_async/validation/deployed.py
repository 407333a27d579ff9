"""Where an environment's folder is deployed, as far as this machine knows: a Space it came from, an image it became."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

_SPACE = re.compile(r"(?:huggingface\.co|hf\.co)[:/]+spaces/([\w.-]+/[\w.-]+?)(?:\.git)?/?\s*$")
_ENGINE_TIMEOUT_S = 5.0


def space_of(folder: Path) -> str | None:
    """Give the Space that the folder's git repository has for a remote, as `owner/name`."""
    for parent in (folder, *folder.parents):
        config = parent / ".git" / "config"
        if not (parent / ".git").exists():
            continue
        try:
            lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        urls = [line.partition("=")[2].strip() for line in lines if line.strip().startswith("url")]
        # The name alone: an address may have a token in it.
        return next((match[1] for url in urls if (match := _SPACE.search(url))), None)
    return None


async def local_image(name: str) -> dict[str, Any] | None:
    """Give the image that `openenv build` makes of an environment, if an engine here has it."""
    import aiodocker

    from openenv_async.images import ImageError, default_name, open_engine

    tag = f"{default_name(name)}:latest"
    try:
        async with asyncio.timeout(_ENGINE_TIMEOUT_S), open_engine() as engine:
            found = await engine.images.inspect(tag)
    except (ImageError, aiodocker.DockerError, OSError, TimeoutError, ValueError):
        return None
    return {"tag": tag, "id": str(found["Id"]), "size": int(found["Size"]), "created": str(found.get("Created", ""))}
