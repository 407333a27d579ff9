"""Everything that can be judged without starting a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from openenv_async.validation.checks import Check
from openenv_async.validation.code import check_code
from openenv_async.validation.describing import STAGES, Description, describe
from openenv_async.validation.dockerfile import check_dockerfile
from openenv_async.validation.findings import Findings
from openenv_async.validation.layout import check_files
from openenv_async.validation.lock import check_lock
from openenv_async.validation.manifest import ManifestFacts, check_manifest
from openenv_async.validation.project import check_project

IMPORT_TIMEOUT_S = 60.0


def static_problems(path: Path) -> list[Check]:
    """Name what is wrong with an environment's files, for commands that send them somewhere.

    Nothing is imported, started or asked of the network. Only checks that failed or
    warn are given; `check.result` tells which.

    Args:
        path: the environment's folder.

    Raises:
        NotAnEnvironment: it has no `openenv.yaml`.
    """
    checks, _ = check_texts(path.resolve())
    return [check for check in checks if check.result in ("failed", "warned")]


def check_texts(folder: Path) -> tuple[list[Check], ManifestFacts]:
    """Judge the files by their text.

    Raises:
        NotAnEnvironment: there is no `openenv.yaml`.
    """
    checks, facts = check_manifest(folder)
    for check in (check_files, check_project, check_dockerfile):
        checks += check(folder, facts)
    return checks, facts


async def check_imports(
    folder: Path, before: list[Check], note: Callable[[Check], None], timeout_s: float
) -> Description | None:
    """Judge the code by importing it in a child process, and the lock file by asking uv.

    Args:
        folder: the environment's.
        before: what was found so far: a manifest that cannot be used leaves nothing to import.
        note: told each check.
        timeout_s: seconds for each of the two.

    Returns:
        What the environment said; None when it could not be asked.
    """
    description = None
    if any(check.result == "failed" and check.name in ("manifest", "files") for check in before):
        for name in STAGES:
            note(Findings(name).skipped("openenv.yaml does not lead to an app: see above")[0])
    else:
        description = await describe(folder, min(timeout_s, IMPORT_TIMEOUT_S))
        for check in check_code(folder, description):
            note(check)
    for check in await check_lock(folder, timeout_s=min(timeout_s, IMPORT_TIMEOUT_S)):
        note(check)
    return description
