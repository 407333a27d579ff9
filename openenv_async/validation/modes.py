"""The ways to run an environment, each with whether it works and why, from what the checks found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from openenv_async.validation.checks import Check, Level, Mode
from openenv_async.validation.lock import find_uv
from openenv_async.validation.manifest import ManifestFacts


def modes(folder: Path, facts: ManifestFacts, checks: list[Check]) -> list[Mode]:
    """List every mode.

    Args:
        folder: the environment's.
        facts: of its manifest.
        checks: everything that was found.
    """
    return [_local(checks), _uv(checks), _docker(checks), _space(folder, facts, checks)]


def _local(checks: list[Check]) -> Mode:
    bad = _first_bad(checks, "static", ("manifest", "files", "app"))
    if bad:
        return Mode(name="local", works=False, tried=False, why=bad)
    if not any(check.level == "runtime" for check in checks):
        why = "not tried: the app can be imported, and --level runtime starts it"
        return Mode(name="local", works=True, tried=False, why=why)
    return _tried("local", checks, "runtime", "`openenv serve` started it, and it was played")


def _uv(checks: list[Check]) -> Mode:
    bad = _first_bad(checks, "static", ("manifest", "files", "pyproject", "lock"))
    if bad is None and find_uv() is None:
        bad = "uv is not installed here: pip install uv"
    why = bad or "not tried: pyproject.toml says what uv must know (`uv run server`)"
    return Mode(name="uv", works=bad is None, tried=False, why=why)


def _docker(checks: list[Check]) -> Mode:
    bad = _first_bad(checks, "static", ("manifest", "files", "dockerfile"))
    if bad:
        return Mode(name="docker", works=False, tried=False, why=bad)
    if not any(check.level == "full" for check in checks):
        why = "not tried: the Dockerfile reads well, and --level full builds and runs it"
        return Mode(name="docker", works=True, tried=False, why=why)
    return _tried("docker", checks, "full", "the image was built, and its server was played")


def _space(folder: Path, facts: ManifestFacts, checks: list[Check]) -> Mode:
    bad = _first_bad(checks, "static", ("manifest", "files", "dockerfile")) or _first_bad(
        checks, "full", tuple(dict.fromkeys(check.name for check in checks))
    )
    if bad:
        return Mode(name="space", works=False, tried=False, why=bad)
    from openenv_async.hub.failures import UnusableFile
    from openenv_async.hub.frontmatter import repair_readme

    try:
        text = (folder / "README.md").read_text(encoding="utf-8") if (folder / "README.md").is_file() else None
        changes = repair_readme(text, name=facts.name, port=facts.port, interface=True).changes
    except (UnusableFile, OSError, UnicodeError) as error:
        return Mode(name="space", works=False, tried=False, why=f"README.md: {error}")
    added = f"; it completes the README's first lines ({', '.join(changes)})" if changes else ""
    return Mode(name="space", works=True, tried=False, why=f"not tried: `openenv push` sends it{added}")


def _tried(name: str, checks: list[Check], level: Level, why: str) -> Mode:
    bad = _first_bad(checks, level, tuple(dict.fromkeys(check.name for check in checks)))
    return Mode(name="local" if name == "local" else "docker", works=bad is None, tried=True, why=bad or why)


def _first_bad(checks: Iterable[Check], level: Level, names: tuple[str, ...]) -> str | None:
    """Give the sentence of the first check of these that failed."""
    for check in checks:
        if check.level == level and check.name in names and check.result == "failed":
            where = f"{check.where}: " if check.where else ""
            return f"{where}{check.sentence}"
    return None
