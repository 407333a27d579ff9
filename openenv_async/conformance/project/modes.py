"""The ways to run an environment, each with whether it works and why, from the findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from openenv_async.conformance.findings import Finding, Level, Mode
from openenv_async.conformance.project.manifest import Manifest
from openenv_async.providers.local import find_uv


def modes(manifest: Manifest, findings: list[Finding]) -> list[Mode]:
    """Return every mode of the environment with this manifest."""
    return [_local(findings), _uv(findings), _docker(findings), _space(manifest, findings)]


def _local(findings: list[Finding]) -> Mode:
    bad = _first_bad(findings, "static", ("manifest", "files", "app"))
    if bad:
        return Mode(name="local", works=False, tried=False, why=bad)
    if not any(finding.level == "runtime" for finding in findings):
        why = "not tried: the app can be imported, and --level runtime starts it"
        return Mode(name="local", works=True, tried=False, why=why)
    return _tried("local", findings, "runtime", "`openenv serve` started it, and it was played")


def _uv(findings: list[Finding]) -> Mode:
    bad = _first_bad(findings, "static", ("manifest", "files", "pyproject", "lock"))
    if bad is None and find_uv() is None:
        bad = "uv is not installed here: pip install uv"
    why = bad or "not tried: pyproject.toml has what uv needs (`uv run server`)"
    return Mode(name="uv", works=bad is None, tried=False, why=why)


def _docker(findings: list[Finding]) -> Mode:
    bad = _first_bad(findings, "static", ("manifest", "files", "dockerfile"))
    if bad:
        return Mode(name="docker", works=False, tried=False, why=bad)
    if not any(finding.level == "full" for finding in findings):
        why = "not tried: no problem was found in the Dockerfile, and --level full builds and runs it"
        return Mode(name="docker", works=True, tried=False, why=why)
    return _tried("docker", findings, "full", "the image was built, and its server was played")


def _space(manifest: Manifest, findings: list[Finding]) -> Mode:
    bad = _first_bad(findings, "static", ("manifest", "files", "dockerfile")) or _first_bad(
        findings, "full", tuple(dict.fromkeys(finding.name for finding in findings))
    )
    if bad:
        return Mode(name="space", works=False, tried=False, why=bad)
    from openenv_async.hub.failures import UnusableFile
    from openenv_async.hub.frontmatter import repair_readme

    try:
        readme = manifest.folder / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.is_file() else None
        changes = repair_readme(text, name=manifest.name, port=manifest.port, interface=True).changes
    except (UnusableFile, OSError, UnicodeError) as error:
        return Mode(name="space", works=False, tried=False, why=f"README.md: {error}")
    added = f"; it completes the README's first lines ({', '.join(changes)})" if changes else ""
    return Mode(name="space", works=True, tried=False, why=f"not tried: `openenv push` sends it{added}")


def _tried(name: Literal["local", "docker"], findings: list[Finding], level: Level, why: str) -> Mode:
    bad = _first_bad(findings, level, tuple(dict.fromkeys(finding.name for finding in findings)))
    return Mode(name=name, works=bad is None, tried=True, why=bad or why)


def _first_bad(findings: Iterable[Finding], level: Level, names: tuple[str, ...]) -> str | None:
    """Return the sentence of the first of these checks that failed."""
    for finding in findings:
        if finding.level == level and finding.name in names and finding.result == "failed":
            where = f"{finding.where}: " if finding.where else ""
            return f"{where}{finding.sentence}"
    return None
