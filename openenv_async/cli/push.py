"""`openenv push`: sends an environment to a Space of the Hugging Face Hub, or to a registry of images.

Declares the options, checks which go together, and runs the steps: check, gather, log
in, send. `hub` gathers and sends, `cli.push_report` writes the report,
`cli.push_registry` pushes images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.progress import quiet_option, say

if TYPE_CHECKING:
    from openenv_async.conformance.project.manifest import Manifest
    from openenv_async.hub.publishing import SpaceSettings
    from openenv_async.hub.space_files import Contents


@dataclass(frozen=True, kw_only=True, slots=True)
class PushRequest:
    """The options of one `openenv push`, as given."""

    path: Path | None
    directory: Path | None
    repo_id: str | None
    private: bool
    registry: str | None
    tag: str | None
    interface: bool | None
    base_image: str | None
    create_pr: bool
    hardware: str | None
    env_var: tuple[str, ...]
    secret: tuple[str, ...] = field(repr=False)
    exclude: Path | None
    delete: tuple[str, ...]
    count: int
    dry_run: bool


_EXAMPLES = """\b
Examples:
  openenv push --dry-run
  openenv push my_env --repo-id my-org/my-env --private
  openenv push --env-var LEVEL=hard --secret OPENAI_API_KEY
  openenv push --repo-id their-org/their-env --create-pr
  openenv push --delete "old/*" --hardware cpu-upgrade
  openenv push --registry ghcr.io/my-org --tag v1
"""


@click.command(short_help="Send an environment to the Hugging Face Hub or a registry.", epilog=_EXAMPLES)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("-d", "--directory", type=click.Path(path_type=Path), help="The same as PATH.")
@click.option("-r", "--repo-id", metavar="[OWNER/]NAME", help="The Space. [default: your name and the environment's]")
@click.option("--private", is_flag=True, help="Make the Space private.")
@click.option("--registry", metavar="HOST/OWNER", help="Push an image there instead of files to the Hub.")
@click.option("--tag", help="Tag of the image, with --registry.")
@click.option(
    "--interface/--no-interface",
    default=None,
    help="The web interface. [default: on for a Space, off for an image]",
)
@click.option("-b", "--base-image", metavar="IMAGE", help="Use this base image instead of the Dockerfile's.")
@click.option("--create-pr", is_flag=True, help="Propose the change to a Space instead of making it.")
@click.option("-H", "--hardware", help="Hardware of the Space, such as cpu-upgrade or t4-small.")
@click.option("-e", "--env-var", multiple=True, metavar="KEY=VALUE", help="A public variable. Repeatable.")
@click.option(
    "--secret",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="A variable that only the Space can read; KEY alone takes it from the environment. Repeatable.",
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file of patterns, as in .gitignore, for more files to leave out.",
)
@click.option(
    "--delete",
    multiple=True,
    metavar="GLOB",
    help="Delete files of the Space that match and are not in the folder. Repeatable.",
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=1,
    help="Number of Spaces to create: NAME-1, NAME-2 and so on.",
)
@click.option("--dry-run", is_flag=True, help="List what would be sent; send nothing.")
@quiet_option
def push(**options: Any) -> None:
    """Send the environment in PATH, by default the current folder.

    To the Hub: creates the Space if there is none, and sends the files that
    changed. Left out is what .gitignore and .dockerignore name, and every file
    that is named like a secret. The README gets the lines that a Space needs;
    files on disk stay as they are.
    """
    request = PushRequest(**options)
    _check(request)
    folder = _folder(request)
    manifest = _checked(folder)
    if request.registry is not None:
        _push_image(request, folder)
    else:
        _push_files(request, folder, manifest)


def _check(request: PushRequest) -> None:
    """Refuse what does not go together, before anything is read."""
    if request.path is not None and request.directory is not None:
        raise BadInput("PATH and --directory are the same: give one of them")
    if request.registry is None:
        if request.tag is not None:
            raise BadInput("--tag is for images: give --registry with it")
    else:
        hub_only = {
            "--repo-id": request.repo_id,
            "--private": request.private,
            "--create-pr": request.create_pr,
            "--hardware": request.hardware,
            "--env-var": request.env_var,
            "--secret": request.secret,
            "--exclude": request.exclude,
            "--delete": request.delete,
            "--count": request.count > 1,
        }
        for option, value in hub_only.items():
            if value:
                raise BadInput(f"{option} is for Spaces and does not go with --registry")
    if request.create_pr:
        live = {
            "--count": request.count > 1,
            "--private": request.private,
            "--hardware": request.hardware,
            "--env-var": request.env_var,
            "--secret": request.secret,
        }
        for option, value in live.items():
            if value:
                raise BadInput(f"{option} does not go with --create-pr: a proposal changes files only")


def _folder(request: PushRequest) -> Path:
    folder = request.path or request.directory or Path()
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}")
    return folder.resolve()


def _checked(folder: Path) -> Manifest:
    """Return the manifest of an environment that can be sent.

    Raises:
        CommandFailed: it cannot be sent; the text names every problem.
    """
    from openenv_async.cli.manifest import read_manifest

    manifest = read_manifest(folder)
    problems = _static_problems(folder)
    if problems:
        listed = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
        raise CommandFailed(f"{manifest.name} cannot be sent as it is:{listed}")
    return manifest


def _static_problems(folder: Path) -> list[str]:
    """Return what would keep the environment from being built or served, one sentence each.

    Raises:
        CommandFailed: `openenv.yaml` is missing or invalid, so that nothing else can be checked.
    """
    from openenv_async.cli.manifest import shown
    from openenv_async.cli.targets import FolderTarget, locate

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
    from openenv_async.conformance.project.static import static_problems

    without = {"dockerfile"} if (folder / "pyproject.toml").is_file() else {"dockerfile", "pyproject"}
    failed = [each for each in static_problems(folder) if each.result == "failed" and each.name not in without]
    return [f"{each.where}: {each.sentence}" if each.where else each.sentence for each in failed]


def _push_image(request: PushRequest, folder: Path) -> None:
    from openenv_async.cli.push_registry import RegistryPush, push_to_registry

    assert request.registry is not None
    push_to_registry(
        RegistryPush(
            folder=folder,
            registry=request.registry,
            tag=request.tag,
            interface=bool(request.interface),
            base_image=request.base_image,
            dry_run=request.dry_run,
        )
    )


def _push_files(request: PushRequest, folder: Path, manifest: Manifest) -> None:
    from openenv_async.cli.hub_session import command_errors, open_hub
    from openenv_async.cli.keyvalues import key_values
    from openenv_async.hub.publishing import SpaceSettings

    settings = SpaceSettings(
        private=request.private,
        hardware=request.hardware,
        variables=_manifest_variables(request, manifest) | key_values("--env-var", request.env_var),
        secrets=key_values("--secret", request.secret),
    )
    with command_errors("stopped; run it again, and what was stored on the Hub is not sent twice"):
        # An invalid name is reported before the user is asked to log in.
        _names(request, manifest, "you")
        contents = _gather(request, folder, manifest, settings)
        for warning in contents.warnings:
            click.echo(f"Warning: {warning}", err=True)
        if request.dry_run:
            _dry_run(request, manifest, contents, settings)
            return
        api = open_hub()
        _send(request, manifest, contents, settings, api)


def _manifest_variables(request: PushRequest, manifest: Manifest) -> dict[str, str]:
    from openenv_async.cli.manifest import key_at

    values = manifest.values.get("variables") or {}
    if not isinstance(values, Mapping):
        raise BadInput(f"{key_at(manifest, 'variables')}: variables must hold `KEY: value` lines")
    if values and request.create_pr:
        click.echo(f"Warning: {key_at(manifest, 'variables')}: variables are not set by a proposal", err=True)
        return {}
    return {str(key): str(value) for key, value in values.items()}


def _gather(request: PushRequest, folder: Path, manifest: Manifest, settings: SpaceSettings) -> Contents:
    import tempfile

    from openenv_async.cli.wheel import build_wheel
    from openenv_async.hub.account import token_in_use
    from openenv_async.hub.space_files import Wishes, gather

    wishes = Wishes(
        name=manifest.name,
        port=manifest.port,
        interface=request.interface,
        base_image=request.base_image,
        exclude=_patterns(request, folder),
    )
    with tempfile.TemporaryDirectory(prefix="openenv-push-") as elsewhere:
        built = build_wheel(Path(elsewhere))
        wheel = built.name, built.read_bytes()
    token = token_in_use()
    return gather(folder, wishes, wheel=wheel, known_secrets=[*settings.secrets.values(), *([token] if token else [])])


def _patterns(request: PushRequest, folder: Path) -> list[str]:
    if request.exclude is None:
        return []
    # As OpenEnv has it: seen from the environment's folder. From here too, where that finds nothing.
    for file in (folder / request.exclude, request.exclude):
        if file.is_file():
            try:
                return file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeError) as error:
                raise BadInput(f"--exclude {request.exclude} cannot be read: {error}") from error
    raise BadInput(f"--exclude: there is no file {request.exclude}")


def _names(request: PushRequest, manifest: Manifest, owner: str) -> list[str]:
    from openenv_async.hub.account import full_name

    name = full_name(request.repo_id or manifest.name, owner)
    if request.count == 1:
        return [name]
    return [full_name(f"{name}-{number}", owner) for number in range(1, request.count + 1)]


def _dry_run(request: PushRequest, manifest: Manifest, contents: Contents, settings: SpaceSettings) -> None:
    from openenv_async.cli.hub_session import open_hub
    from openenv_async.cli.push_report import report_plan
    from openenv_async.hub.account import NoToken, sign_in
    from openenv_async.hub.publishing import preview

    api = open_hub()
    try:
        user = sign_in(api).name
    except NoToken as error:
        for name in _names(request, manifest, "<you>") if request.repo_id else [f"<you>/{manifest.name}"]:
            report_plan(name, contents, None, settings, "not compared with the Hub")
        click.echo(f"Warning: everything is listed, as nothing could be compared: {error}", err=True)
        return
    for name in _names(request, manifest, user):
        changes = preview(api, name, contents, request.delete, user)
        if changes is None and request.create_pr:
            raise CommandFailed(f"there is no Space {name} that {user} can see, so a change cannot be proposed to it")
        state = "a new Space" if changes is None else "as it differs from what is there"
        report_plan(name, contents, changes, settings, state)


def _send(request: PushRequest, manifest: Manifest, contents: Contents, settings: SpaceSettings, api: Any) -> None:
    from openenv_async.cli.hub_session import log_in
    from openenv_async.cli.push_report import report_end
    from openenv_async.hub.publishing import propose, publish

    user = log_in(api).name
    for name in _names(request, manifest, user):
        if request.create_pr:
            report_end(propose(api, name, contents, request.delete, user, say), proposed=True)
        else:
            report_end(publish(api, name, contents, settings, request.delete, user, say), proposed=False)
