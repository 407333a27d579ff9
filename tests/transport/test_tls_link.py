"""TLS on the client's own link: whom each end accepts, what it is told otherwise, and that nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from raw_server import shake_hands, silence
from support.certificates import Certificates, certificates
from support.servers import bounded

from openenv_async.transport.address import Address
from openenv_async.transport.link import CertificateRefused, LinkRefused
from openenv_async.transport.network import connect_link
from openenv_async.transport.proxy_client import open_proxy_link
from openenv_async.transport.ws_protocol import WebSocketLink


def client_files(folder: Path, authority: trustme.CA) -> dict[str, str]:
    """A client's certificate and key, signed by this authority."""
    made = authority.issue_cert("client.example")
    made.cert_chain_pems[0].write_to_path(folder / "client.pem")
    made.private_key_pem.write_to_path(folder / "client.key")
    return {"client_cert_file": str(folder / "client.pem"), "client_key_file": str(folder / "client.key")}


def lock(key_file: Path) -> None:
    """Give a private key a password."""
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(encoding, kind, serialization.BestAvailableEncryption(b"secret")))


@contextlib.asynccontextmanager
async def tls_server(files: Certificates, trusts: trustme.CA | None = None, **limits: Any) -> AsyncIterator[str]:
    """Accepts WebSockets; demands a client's certificate where it `trusts` an authority. Gives the base URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certfile, files.keyfile)
    context.maximum_version = limits.get("maximum_version", context.maximum_version)
    if trusts is not None:
        trusts.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await shake_hands(reader, writer)
            await silence(reader)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


def address(url: str, files: Certificates | None, **options: Any) -> Address:
    ca_file = str(files.ca_file) if files is not None else None
    return Address(url=f"{url}/ws", ca_file=ca_file, connect_timeout_s=5, **options)


async def test_a_trusted_server_is_reached_by_name_over_our_own_link(tmp_path: Path) -> None:
    files = certificates(tmp_path, "localhost")
    async with tls_server(files) as url:
        link = await bounded(connect_link(address(url, files)))
        assert isinstance(link, WebSocketLink)
        await bounded(link.aclose())


async def test_another_name_is_refused(tmp_path: Path) -> None:
    files = certificates(tmp_path, "localhost")
    async with tls_server(files) as url:
        with pytest.raises(CertificateRefused, match="IP address mismatch"):
            await bounded(connect_link(address(url.replace("localhost", "127.0.0.1"), files)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_requires_a_client_certificate_gets_it(tmp_path: Path, version: ssl.TLSVersion) -> None:
    files, authority = certificates(tmp_path, "localhost"), trustme.CA()
    async with tls_server(files, authority, maximum_version=version) as url:
        own = client_files(tmp_path, authority)
        for open_it in (connect_link, open_proxy_link):
            link = await bounded(open_it(address(url, files, **own)))
            await bounded(link.aclose())
        with pytest.raises(LinkRefused, match="client certificate"):
            await bounded(connect_link(address(url, files)))


async def test_a_client_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    files = certificates(tmp_path, "localhost")
    async with tls_server(files, trustme.CA()) as url:
        with pytest.raises(LinkRefused) as caught:
            await bounded(connect_link(address(url, files, **client_files(tmp_path, trustme.CA()))))
        # The alert that says why may be lost with the socket.
        assert caught.value.dropped or "client certificate in" in str(caught.value)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no such file", "No such file"),
        ("not PEM", "cannot use the client certificate"),
        ("another's key", "the key belongs to another certificate"),
        ("a password", "the key has a password"),
        ("authorities", "as authorities"),
    ],
)
async def test_files_that_cannot_be_used_are_named(tmp_path: Path, case: str, words: str) -> None:
    files = certificates(tmp_path, "localhost")
    own = client_files(tmp_path, trustme.CA())
    junk = tmp_path / "junk.pem"
    junk.write_text("nothing")
    if case == "no such file":
        own["client_cert_file"] = str(tmp_path / "none.pem")
    elif case == "not PEM":
        own = {"client_cert_file": str(junk)}
    elif case == "another's key":
        own["client_key_file"] = str(files.keyfile)
    elif case == "a password":
        lock(Path(own["client_key_file"]))
    else:
        files = files._replace(ca_file=junk)
    with pytest.raises(LinkRefused, match=words):
        await bounded(connect_link(address("https://localhost:1", files, **own)))


async def test_a_server_without_tls_is_told_apart(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(LinkRefused, match="does not speak TLS"):
            await bounded(connect_link(address(url, certificates(tmp_path))))
