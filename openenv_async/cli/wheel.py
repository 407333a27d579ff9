"""Makes a wheel of the installed runtime from its files.

A project that `openenv init` writes must find the runtime when its lock file is
resolved and when its image is built, possibly on another machine. The runtime
may be installed from a checkout, from a wheel that is gone, or from an index
that the other machine cannot reach; `direct_url.json` would tell those apart,
but only a wheel inside the project answers all of them, with a relative path
and a hash. It needs no build tools and no network: the packages are pure
Python, and the metadata is what the installer recorded.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import zipfile
from pathlib import Path

from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.scaffolding import template_folder

DISTRIBUTION = "openenv-async"
PACKAGES = ("openenv_async", "openenv_sync")

_TEMPLATE = "openenv_async/_scaffold/project"
# The wheel's bytes must depend on its content only, or every lock file would differ.
_DATE = (1980, 1, 1, 0, 0, 0)


def build_wheel(folder: Path) -> Path:
    """Write the runtime's wheel into `folder` and return its path. The same files give the same bytes.

    Raises:
        CommandFailed: the runtime is not installed, so that its dependencies are unknown.
    """
    try:
        installed = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise CommandFailed(
            f"{DISTRIBUTION} is imported from a folder and not installed, so no wheel of it can be made; "
            "install it with `pip install -e .` in its checkout."
        ) from None
    info = f"{DISTRIBUTION.replace('-', '_')}-{installed.version}.dist-info"
    content = {f"{info}/{name}": data for name, data in _metadata(installed).items()}
    for package in PACKAGES:
        content |= _tree(_location(package), package)
    # In a checkout the template is outside the package; the wheel always has it inside.
    content |= _tree(template_folder(), _TEMPLATE)
    content[f"{info}/RECORD"] = _record(content, f"{info}/RECORD")
    path = folder / f"{DISTRIBUTION.replace('-', '_')}-{installed.version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content[name])
    return path


def _metadata(installed: importlib.metadata.Distribution) -> dict[str, bytes]:
    kept = {
        path.as_posix().partition(".dist-info/")[2]: path.locate()
        for path in installed.files or []
        if path.as_posix().partition(".dist-info/")[2].startswith(("METADATA", "entry_points.txt", "licenses/"))
    }
    content = {name: Path(str(path)).read_bytes() for name, path in kept.items()}
    content["WHEEL"] = b"Wheel-Version: 1.0\nGenerator: openenv-async\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return content


def _location(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise CommandFailed(f"{package} is missing from this installation; install {DISTRIBUTION} again.")
    return Path(spec.origin).parent


def _tree(folder: Path, inside: str) -> dict[str, bytes]:
    return {
        f"{inside}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def _record(content: dict[str, bytes], own: str) -> bytes:
    lines = []
    for name in sorted(content):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content[name]).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content[name])}\n")
    return "".join([*lines, f"{own},,\n"]).encode()
