"""Checks of an environment's folder before it is sent to a Hub or a registry.

Nothing is imported or started. The Dockerfile is not checked here: `cli.building` and
`hub.dockerfile` have others to fall back on.
"""

from __future__ import annotations

from pathlib import Path

from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.manifest import read_manifest, shown
from openenv_async.cli.targets import FolderTarget, locate
from openenv_async.conformance.project.manifest import Manifest


def checked(folder: Path) -> Manifest:
    """Return the manifest of an environment that can be sent.

    Raises:
        CommandFailed: it cannot be sent; the text names every problem.
    """
    manifest = read_manifest(folder)
    problems = static_problems(folder)
    if problems:
        listed = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
        raise CommandFailed(f"{manifest.name} cannot be sent as it is:{listed}")
    return manifest


def static_problems(folder: Path) -> list[str]:
    """Return what would keep the environment from being built or served, one sentence each.

    Raises:
        CommandFailed: `openenv.yaml` is missing or invalid, so that nothing else can be checked.
    """
    problems = []
    target = locate(str(folder))
    if isinstance(target, FolderTarget):
        file = folder.joinpath(*target.module.split("."))
        if not file.with_suffix(".py").is_file() and not (file / "__init__.py").is_file():
            where = f"{target.named_at}: " if target.named_at else ""
            problems.append(f"{where}there is no {shown(file.with_suffix('.py'))}, where the app should be")
    return problems or _invalid(folder)


def _invalid(folder: Path) -> list[str]:
    """Return what `openenv validate --level static` finds in the files.

    A missing Dockerfile or pyproject.toml is not a problem: the commands have a Dockerfile to fall back on, and an
    image works without a pyproject.toml.
    """
    from openenv_async.conformance.project.static import static_problems as findings_of

    without = {"dockerfile"} if (folder / "pyproject.toml").is_file() else {"dockerfile", "pyproject"}
    failed = [each for each in findings_of(folder) if each.result == "failed" and each.name not in without]
    return [f"{each.where}: {each.sentence}" if each.where else each.sentence for each in failed]
