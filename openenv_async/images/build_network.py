"""This machine's certificates and package index settings, for the first stage of a build.

Behind a company's proxy, pip and uv inside a build need the same certificate
bundle and index as outside. They go into the context as `.openenv-build/ca.pem`
and `.openenv-build/env`, a file of `export` lines, and only when the Dockerfile
names that folder: the template's reads them in its first stage, and its final
image has neither the files nor, in its history, the values. They are not build
arguments, because those stay readable in an image's history.
"""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from openenv_async.images.errors import ContextError

FOLDER = ".openenv-build"
INSIDE = "/tmp/openenv-build"
BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
_INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
)
_PIP_OPTIONS = {
    "index-url": "PIP_INDEX_URL",
    "extra-index-url": "PIP_EXTRA_INDEX_URL",
    "trusted-host": "PIP_TRUSTED_HOST",
}
_FOR_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}


def settings_of_this_machine(dockerfile: str, environ: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the files that give a build this machine's network settings, by their path in the context.

    Args:
        dockerfile: its text; without the folder's name in it there are no files.
        environ: the variables to read. The process's own by default.

    Raises:
        ContextError: a variable names a bundle that cannot be read.
    """
    # The template writes it as a pattern, `.openenv-buil[d]`, for builders that do not provide the folder.
    if FOLDER[:-1] not in dockerfile:
        return {}
    environ = os.environ if environ is None else environ
    files: dict[str, bytes] = {}
    exports = _indexes(environ)
    bundle = _bundle(environ)
    if bundle is not None:
        files[f"{FOLDER}/ca.pem"] = bundle
        exports |= dict.fromkeys((*BUNDLE_VARIABLES, "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"), f"{INSIDE}/ca.pem")
    if exports:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(exports.items())]
        files[f"{FOLDER}/env"] = "".join(lines).encode()
    return files


def _bundle(environ: Mapping[str, str]) -> bytes | None:
    for variable in BUNDLE_VARIABLES:
        path = environ.get(variable)
        if not path:
            continue
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise ContextError(
                f"{variable} names {path}, which cannot be read ({error.strerror}): name a bundle of certificates, "
                "or unset it"
            ) from error
    return None


def _indexes(environ: Mapping[str, str]) -> dict[str, str]:
    """What is said of indexes in pip's files and the variables, these last. Only what has a meaning inside a build."""
    values = _pip_files(environ) | {name: environ[name] for name in _INDEX_VARIABLES if environ.get(name)}
    values = {name: kept for name, value in values.items() if (kept := _usable(name, value))}
    for theirs, ours in _FOR_UV.items():
        uv_has_it = ours in values or ours.replace("DEFAULT_INDEX", "INDEX_URL") in values
        if theirs in values and not uv_has_it:
            values[ours] = values[theirs]
    return values


def _usable(name: str, value: str) -> str:
    if "INDEX" not in name:
        return value
    # A folder of this machine is not there in a build.
    return " ".join(url for url in value.split() if urlsplit(url.partition("=")[2] or url).scheme != "file")


def _pip_files(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        return {}
    home = Path.home()
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf", home / "pip/pip.ini"]
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(files, encoding="utf-8")
    except (configparser.Error, UnicodeError):
        return {}  # pip itself complains of it, and better
    found: dict[str, str] = {}
    for section in ("global", "install"):
        for option, variable in _PIP_OPTIONS.items():
            if parser.has_option(section, option):
                found[variable] = " ".join(parser.get(section, option).split())
    return found
