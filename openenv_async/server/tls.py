"""Reads the server's certificate and key from files, with clear errors."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateUnusable(Exception):
    """The server cannot use the certificate or the key; the text says which and why."""


def server_context(certfile: Path, keyfile: Path | None) -> ssl.SSLContext:
    """Read a certificate and its key.

    Args:
        certfile: PEM: the certificate, and after it those of the authorities between it and the root.
        keyfile: PEM: its private key, without a password; None: it is in `certfile` too.

    Raises:
        CertificateUnusable: a file is missing or holds something else, or the two do not belong together.
    """
    for path in filter(None, (certfile, keyfile)):
        _check_readable(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # WebSockets of both wires are opened over HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certfile, keyfile, password=_no_password)
    except _KeyHasPassword:
        text = f"the key in {keyfile or certfile} has a password: give one without (openssl pkey -in KEY -out PLAIN)"
        raise CertificateUnusable(text) from None
    except ssl.SSLError as error:
        raise CertificateUnusable(_explained(error, certfile, keyfile)) from error
    return context


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise CertificateUnusable(f"cannot read {path}: {error.strerror or error}") from error


def _explained(error: ssl.SSLError, certfile: Path, keyfile: Path | None) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {keyfile or certfile} is not the one of the certificate in {certfile}"
    what = f"{certfile} and {keyfile}" if keyfile else f"{certfile} alone (where is its key? --keyfile)"
    return f"no certificate with its private key, both as PEM, in {what} ({error.reason or error})"


class _KeyHasPassword(Exception):
    """Raised when OpenSSL asks for a password."""


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    raise _KeyHasPassword
