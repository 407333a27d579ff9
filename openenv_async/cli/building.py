"""Plans the build of an environment's image from its folder.

Chooses the Dockerfile, the context, the name, and the files that are added to the
folder's own: the runtime's wheel, this machine's settings for package indexes, the
template's Dockerfile where the environment has none. Only `carry_out` talks to the
engine. `openenv build` and `openenv push --registry` use it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openenv_async import __version__
from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.keyvalues import key_values
from openenv_async.cli.manifest import read_manifest, shown
from openenv_async.cli.scaffolding import image_settings, template_folder
from openenv_async.cli.wheel import DISTRIBUTION, build_wheel
from openenv_async.conformance.project.manifest import Manifest
from openenv_async.hub.secret_scan import named_like_a_secret
from openenv_async.images.base import ensure_base, wants_base
from openenv_async.images.build import BuildRequest, BuiltImage, build_image
from openenv_async.images.build_network import settings_of_this_machine
from openenv_async.images.context import IGNORE_FILE, BuildContext
from openenv_async.images.dockerfile import BASE_ARGUMENT, Dockerfile
from openenv_async.images.names import ImageName, default_name, parse_image_name
from openenv_async.images.progress import OnProgress

if TYPE_CHECKING:
    from aiodocker import Docker

PLACES = ("server/Dockerfile", "Dockerfile")
_ELSEWHERE = ".openenv-dockerfile"
_WHEELS = "openenv_async-*.whl"
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """The user's options; `None` where one was not given."""

    path: Path
    tag: str | None = None
    build_arg: tuple[str, ...] = field(default=(), repr=False)
    dockerfile: Path | None = None
    context: Path | None = None
    no_cache: bool = False
    base_image: str | None = None
    platform: str | None = None
    pull: bool = False
    interface: bool = False
    """OpenEnv's web interface, which a variable switches on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What will be built."""

    request: BuildRequest
    base: BuildContext | None
    """What `openenv-base` is built from, if the Dockerfile uses it."""

    pull: bool
    """Fetch the base of `openenv-base` again, and rebuild it."""

    image_name: ImageName
    where: str
    mode: str
    dockerfile_shown: str
    port: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A Dockerfile: its text, its path in the context, and a text that names its source."""

    dockerfile: Dockerfile
    inside: str
    words: str
    laid_over: bool


def plan_build(options: BuildOptions) -> Plan:
    """Decide what is built, and from what.

    Raises:
        BadInput: an option cannot be used.
        CommandFailed: the folder is not an environment, or its Dockerfile cannot be read.
        InvalidImageName: the image name is invalid.
    """
    if not options.path.is_dir():
        raise BadInput(f"there is no folder {options.path}: give the folder of an environment")
    manifest = read_manifest(options.path)
    folder = _context_folder(options, manifest)
    name = parse_image_name(options.tag or default_name(manifest.name))
    arguments = key_values("--build-arg", options.build_arg)
    found = _dockerfile(options, manifest, folder)
    mode = "in-repository" if in_repository(manifest.folder) else "standalone"

    dockerfile, overlay = found.dockerfile, dict[str, bytes]()
    if options.base_image:
        if dockerfile.declares(BASE_ARGUMENT):
            arguments[BASE_ARGUMENT] = options.base_image
        else:
            dockerfile = dockerfile.on_base(options.base_image)
    if options.interface:
        dockerfile = Dockerfile(dockerfile.text.rstrip("\n") + "\nENV ENABLE_WEB_INTERFACE=true\n")
    if found.laid_over or dockerfile is not found.dockerfile:
        overlay[found.inside] = dockerfile.text.encode()
    if found.laid_over:
        # As docker itself does it: the engine reads the file and then takes it out of the context.
        overlay[IGNORE_FILE] = _read(folder / IGNORE_FILE) + f"\n{_ELSEWHERE}\n".encode()
    # What OpenEnv's own Dockerfiles ask for.
    stem = manifest.name.removesuffix("_env")
    given = {"BUILD_MODE": "in-repo" if mode == "in-repository" else mode, "ENV_NAME": stem}
    arguments = {k: v for k, v in given.items() if dockerfile.declares(k)} | arguments

    base = _base() if wants_base(dockerfile, arguments) else None
    wheels, note = _runtime(manifest, folder)
    context = BuildContext(
        folder=folder,
        dockerfile=found.inside,
        overlay=overlay | wheels,
        private=settings_of_this_machine(dockerfile.text),
    )
    request = BuildRequest(
        context=context,
        tag=str(name),
        build_args=arguments,
        labels={"openenv.name": manifest.name, "openenv.runtime": __version__},
        no_cache=options.no_cache,
        pull=options.pull and base is None,  # openenv-base is in no registry; what it starts from is
        platform=options.platform,
    )
    return Plan(
        request=request,
        base=base,
        pull=options.pull and base is not None,
        image_name=name,
        where=shown(folder),
        mode=mode,
        dockerfile_shown=found.words,
        port=manifest.port,
        warnings=tuple(_warnings(context, arguments)),
        notes=note,
    )


async def carry_out(plan: Plan, engine: Docker, on_progress: OnProgress) -> BuiltImage:
    """Build what was planned, `openenv-base` first where it is needed and missing."""
    if plan.base is not None:
        await ensure_base(
            engine,
            plan.base,
            plan.request.build_args,
            pull=plan.pull,
            platform=plan.request.platform,
            on_progress=on_progress,
        )
    return await build_image(engine, plan.request, on_progress)


def in_repository(folder: Path) -> bool:
    """Return whether an environment lies in a checkout of this runtime, or in the `envs/` of OpenEnv's."""
    for parent in folder.resolve().parents:
        if (parent / "openenv_async" / "__init__.py").is_file() and (parent / "pyproject.toml").is_file():
            return True
        if (parent / ".git").exists():
            return folder.resolve().relative_to(parent).parts[0] == "envs"
    return False


def _context_folder(options: BuildOptions, manifest: Manifest) -> Path:
    if options.context is None:
        return manifest.folder.resolve()
    if not options.context.is_dir():
        raise BadInput(f"--context: there is no folder {options.context}")
    return options.context.resolve()


def _dockerfile(options: BuildOptions, manifest: Manifest, folder: Path) -> _Found:
    if options.dockerfile is not None:
        file = next((f for f in (options.dockerfile, manifest.folder / options.dockerfile) if f.is_file()), None)
        if file is None:
            raise BadInput(f"--dockerfile: there is no file {options.dockerfile}")
        return _existing(file.resolve(), folder)
    for place in PLACES:
        if (manifest.folder / place).is_file():
            return _existing((manifest.folder / place).resolve(), folder)
    if manifest.name.isidentifier() and (manifest.folder / "server" / "app.py").is_file() and options.context is None:
        text = _read(template_folder() / "server" / "Dockerfile").decode()
        text = text.replace("__ENV_NAME__", manifest.name).replace("__ENV_IMAGE__", default_name(manifest.name))
        text = text.replace("__IMAGE_SETTINGS__", image_settings())
        return _Found(Dockerfile(text), _ELSEWHERE, "with the template's Dockerfile, as it has none", True)
    raise CommandFailed(
        f"{shown(manifest.folder)} has no Dockerfile, neither in server/ nor at its root: write one (`openenv init` "
        "shows how), or name it with --dockerfile"
    )


def _existing(file: Path, folder: Path) -> _Found:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandFailed(f"{shown(file)} cannot be read: {error}") from error
    dockerfile = Dockerfile(text)
    if not any(each.word == "FROM" for each in dockerfile.instructions):
        raise CommandFailed(f"{shown(file)} has no FROM line: begin it with `FROM python:3.12-slim` or another image")
    if file.is_relative_to(folder):
        return _Found(dockerfile, file.relative_to(folder).as_posix(), shown(file), False)
    return _Found(dockerfile, _ELSEWHERE, shown(file), True)


def _runtime(manifest: Manifest, folder: Path) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the wheel of the installed runtime, for an environment that needs it and has none."""
    wanted = re.compile(rf"\b{DISTRIBUTION.replace('-', '[-_.]')}\b".encode())
    needs = any(wanted.search(_read(manifest.folder / name)) for name in ("pyproject.toml", "server/requirements.txt"))
    if not needs or next((folder / "wheels").glob(_WHEELS), None) is not None:
        return {}, ()
    files = _wheel()
    return files, (f"It has no wheel of {DISTRIBUTION}: {next(iter(files))} is made of what is installed here.",)


def _wheel() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="openenv-build-") as elsewhere:
        built = build_wheel(Path(elsewhere))
        return {f"wheels/{built.name}": built.read_bytes()}


def _base() -> BuildContext:
    folder = template_folder() / "base"
    return BuildContext(
        folder=folder, overlay=_wheel(), private=settings_of_this_machine(_read(folder / "Dockerfile").decode())
    )


def _warnings(context: BuildContext, arguments: Mapping[str, str]) -> list[str]:
    found = [
        f"--build-arg {name} stays readable in the image's history: give a secret to the container, not to the build"
        for name in sorted(arguments)
        if _SECRET.search(name)
    ]
    found += [
        f"{path} looks like a secret, and goes into the image: name it in {IGNORE_FILE}"
        for path in context.files()
        if named_like_a_secret(path)
    ]
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise CommandFailed(f"{shown(file)} cannot be read: {error.strerror}") from error
