"""What must be right before an environment is sent anywhere.

Owns one question, asked of the folder alone: nothing is imported or started. The
commands that send ask it first. Dockerfiles are another matter: `cli.building` and
`hub.dockerfile` have different ones to fall back on.
"""

from __future__ import annotations

from pathlib import Path

from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.manifest import read_manifest, shown
from openenv_async.cli.targets import FolderTarget, locate
from openenv_async.conformance.project.manifest import Manifest


def checked(folder: Path) -> Manifest:
    """Give the manifest of an environment that can be sent.

    Raises:
        CommandFailed: it cannot. Every problem is named.
    """
    manifest = read_manifest(folder)
    problems = static_problems(folder)
    if problems:
        listed = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
        raise CommandFailed(f"{manifest.name} cannot be sent as it is:{listed}")
    return manifest


def static_problems(folder: Path) -> list[str]:
    """Name what would keep the environment from being built or served, one sentence each.

    Raises:
        CommandFailed: `openenv.yaml` is missing or wrong, so that nothing else can be asked.
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
    """Ask what `openenv validate --level static` asks of the files that are there.

    Not of the Dockerfile, for which the commands have others, nor for a pyproject.toml: an image can do without.
    """
    from openenv_async.conformance.project.static import static_problems as findings_of

    without = {"dockerfile"} if (folder / "pyproject.toml").is_file() else {"dockerfile", "pyproject"}
    failed = [each for each in findings_of(folder) if each.result == "failed" and each.name not in without]
    return [f"{each.where}: {each.sentence}" if each.where else each.sentence for each in failed]
