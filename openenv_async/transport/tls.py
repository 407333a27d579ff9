"""A client's side of TLS: which authorities it trusts, the certificate it presents, and what a failure means."""

from __future__ import annotations

import functools
import os
import ssl

from openenv_async.transport.address import Address
from openenv_async.transport.link import CertificateRefused, LinkRefused


def client_context(address: Address) -> ssl.SSLContext:
    """Return the TLS settings for an address.

    Raises:
        LinkRefused: a file cannot be used; the text says which and why.
    """
    usual = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return _context(address.ca_file, address.client_cert_file, address.client_key_file, usual)


@functools.lru_cache(maxsize=16)
def _context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, usual: tuple[str | None, str | None]
) -> ssl.SSLContext:
    # Cached, because reading a bundle of authorities takes longer than connecting.
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file is not None else _usual_context(*usual)
    except (OSError, ssl.SSLError) as exc:
        raise LinkRefused(f"cannot use {ca_file or usual[0] or usual[1]} as authorities (PEM): {_reason(exc)}") from exc
    # WebSockets of both wires are opened over HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except (OSError, ssl.SSLError, _EncryptedKey) as exc:
            files = f"{cert_file} and {key_file}" if key_file else cert_file
            text = f"cannot use the client certificate and its private key (PEM) in {files}: {_reason(exc)}"
            raise LinkRefused(text) from exc
    return context


def _usual_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Trust what SSL_CERT_FILE or SSL_CERT_DIR name, or else certifi's bundle, as httpx does."""
    if file or folder:
        return ssl.create_default_context(cafile=file or None, capath=None if file else folder)
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


class _EncryptedKey(Exception):
    """The private key is encrypted."""


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    raise _EncryptedKey("the key has a password; use one without (openssl pkey -in KEY -out PLAIN)")


def _reason(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        return {"KEY_VALUES_MISMATCH": "the key belongs to another certificate"}.get(
            exc.reason or "", (exc.reason or "this is not PEM").replace("_", " ").lower()
        )
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)


def explain(error: ssl.SSLError, address: Address) -> LinkRefused:
    """Turn what failed in a TLS handshake, or just after it, into the error for the caller."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRefused(
            f"its certificate is not to be trusted: {error.verify_message}; an authority of your own is given "
            "as ca_file=, or as SSL_CERT_FILE"
        )
    reason = error.reason or str(error)
    said = reason.rpartition("_ALERT_")[2].replace("_", " ").lower()
    if "CERTIFICATE_REQUIRED" in reason or ("ALERT_HANDSHAKE_FAILURE" in reason and address.client_cert_file is None):
        return CertificateRefused(
            f"the server requires a client certificate ({said}): give it as client_cert_file= and client_key_file="
        )
    if "_ALERT_" in reason and address.client_cert_file is not None:
        return CertificateRefused(
            f"the server does not accept the client certificate in {address.client_cert_file} ({said})"
        )
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return LinkRefused(f"the server does not speak TLS there ({said}): is its address http://?")
    return LinkRefused(f"TLS failed: {said}")
