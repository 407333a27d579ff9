"""Certificates of an authority that nobody else knows, as files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import trustme


class Certificates(NamedTuple):
    certfile: Path
    keyfile: Path
    ca_file: Path


def certificates(folder: Path, *names: str) -> Certificates:
    """Make a server's certificate for these names, and the file of the authority that signed it."""
    authority = trustme.CA()
    made = authority.issue_cert(*(names or ("127.0.0.1", "localhost")))
    files = Certificates(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    made.cert_chain_pems[0].write_to_path(files.certfile)
    made.private_key_pem.write_to_path(files.keyfile)
    authority.cert_pem.write_to_path(files.ca_file)
    return files
