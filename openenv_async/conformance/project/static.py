"""Every check of an environment's files by their text: nothing is imported, started or asked of the network."""

from __future__ import annotations

from pathlib import Path

from openenv_async.conformance.findings import Finding
from openenv_async.conformance.project.dockerfile import check_dockerfile
from openenv_async.conformance.project.locations import check_files
from openenv_async.conformance.project.manifest import Manifest, check_manifest
from openenv_async.conformance.project.pyproject import check_pyproject


def static_problems(path: Path) -> list[Finding]:
    """Return what failed or deserves a warning, for commands that send an environment somewhere.

    Args:
        path: the environment's folder.

    Raises:
        NotAnEnvironment: it has no `openenv.yaml`.
    """
    findings, _ = check_texts(path.resolve())
    return [finding for finding in findings if finding.result in ("failed", "warned")]


def check_texts(folder: Path) -> tuple[list[Finding], Manifest]:
    """Check the files, and return the manifest too.

    Raises:
        NotAnEnvironment: there is no `openenv.yaml`.
    """
    findings, manifest = check_manifest(folder)
    for check in (check_files, check_pyproject, check_dockerfile):
        findings += check(folder, manifest)
    return findings, manifest
