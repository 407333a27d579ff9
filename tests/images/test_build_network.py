"""What a build gets of this machine's way to package indexes, and which Dockerfiles get it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from openenv_async.images.build_network import settings_of_this_machine
from openenv_async.images.errors import ContextError

READS_IT = "FROM a\nCOPY x .openenv-buil[d]/* /tmp/openenv-build/\n"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Variables of somebody without any configuration."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}


def exported(files: dict[str, bytes], variable: str) -> str:
    """The variable's value in a shell that has read the file."""
    script = files[".openenv-build/env"].decode() + f'printf %s "${variable}"'
    return subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"])
def test_the_bundle_of_certificates_goes_along(home: dict[str, str], tmp_path: Path, variable: str) -> None:
    (tmp_path / "company.pem").write_bytes(b"certificates")
    files = settings_of_this_machine(READS_IT, home | {variable: str(tmp_path / "company.pem")})
    assert files[".openenv-build/ca.pem"] == b"certificates"
    assert exported(files, "PIP_CERT") == exported(files, "SSL_CERT_FILE") == "/tmp/openenv-build/ca.pem"


def test_a_dockerfile_that_does_not_read_it_gets_nothing(home: dict[str, str], tmp_path: Path) -> None:
    """Its `COPY . .` would put it into the image."""
    (tmp_path / "company.pem").write_bytes(b"certificates")
    assert settings_of_this_machine("FROM a\nCOPY . .\n", home | {"PIP_CERT": str(tmp_path / "company.pem")}) == {}


def test_indexes_go_along_and_folders_of_this_machine_do_not(home: dict[str, str]) -> None:
    index, spaced = "https://me:pa'ss@pypi.example/simple", "file:///srv/wheels https://two.example/simple"
    files = settings_of_this_machine(READS_IT, home | {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": spaced})
    assert exported(files, "PIP_INDEX_URL") == exported(files, "UV_DEFAULT_INDEX") == index
    assert exported(files, "PIP_EXTRA_INDEX_URL") == exported(files, "UV_INDEX") == "https://two.example/simple"


def test_pips_own_file_is_read(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.conf").write_text("[global]\nindex-url = https://one.example/simple\n", encoding="utf-8")
    files = settings_of_this_machine(READS_IT, home | {"PIP_CONFIG_FILE": str(tmp_path / "mine.conf")})
    assert exported(files, "UV_DEFAULT_INDEX") == "https://one.example/simple"


def test_nothing_set_is_nothing_sent(home: dict[str, str]) -> None:
    assert settings_of_this_machine(READS_IT, home) == {}


def test_a_bundle_that_is_not_there_is_named(home: dict[str, str]) -> None:
    with pytest.raises(ContextError, match=r"PIP_CERT names /no/such\.pem, which cannot be read"):
        settings_of_this_machine(READS_IT, home | {"PIP_CERT": "/no/such.pem"})
