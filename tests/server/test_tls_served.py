"""TLS: every wire over it, and a client that believes no certificate it should not believe."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from requirements import requirement
from support.certificates import Certificates, certificates
from support.forwarder import forwarding
from support.play_env import play_app
from support.servers import Journal, Served, bounded, gathered, serving

from openenv_async import AsyncEnv
from openenv_async.errors import ConnectFailed
from openenv_async.limits import Limits
from openenv_async.server.runner import ServeOptions
from openenv_async.server.tls import server_context
from openenv_sync import SyncEnv


@contextlib.asynccontextmanager
async def secure(files: Certificates, **limits: Any) -> AsyncIterator[Served]:
    options = ServeOptions(grace_s=0.5, linger_s=0.5, tls=server_context(files.certfile, files.keyfile))
    async with serving(play_app(Journal(), limits=Limits(**limits)), options=options) as served:
        assert served.url.startswith("https://127.0.0.1:")
        yield served


@requirement("tls:served")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_both_wires_play_over_tls(tmp_path: Path, wire: Literal["native", "json"]) -> None:
    files = certificates(tmp_path)
    async with secure(files) as served:

        async def play(number: int) -> Any:
            async with AsyncEnv(base_url=served.url, wire=wire, ca_file=files.ca_file) as env:
                await env.reset()
                large = await env.step({"op": "echo", "value": "x" * 1_000_000})
                assert large.observation["value"] == "x" * 1_000_000
                return (await env.step({"n": number})).observation["total"]

        assert await gathered([play(number) for number in range(8)]) == list(range(8))


@requirement("tls:served")
async def test_a_session_resumes_over_tls(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    async with secure(files) as served, forwarding(served.port) as way:
        url = way.url.replace("http:", "https:")
        async with AsyncEnv(base_url=url, wire="native", ca_file=files.ca_file) as env:
            await env.reset()
            await env.step({"n": 1})
            way.cut()
            assert (await bounded(env.step({"n": 2}))).observation["total"] == 3
        assert way.connections == 2


@requirement("tls:served")
async def test_http_is_answered_over_tls(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    context = ssl.create_default_context(cafile=files.ca_file)
    async with secure(files) as served, httpx.AsyncClient(base_url=served.url, verify=context) as client:
        assert (await client.get("/health")).json() == {"status": "healthy"}
        assert (await client.post("/reset", json={})).status_code == 200


@requirement("tls:verified")
async def test_a_blocking_client_and_the_variable_of_a_private_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificates(tmp_path)

    def play(url: str, **options: Any) -> Any:
        with SyncEnv(base_url=url, **options) as env:
            env.reset()
            return env.step({"n": 3}).observation["total"]

    async with secure(files) as served:
        assert await bounded(asyncio.to_thread(play, served.url, ca_file=str(files.ca_file))) == 3
        monkeypatch.setenv("SSL_CERT_FILE", str(files.ca_file))
        assert await bounded(asyncio.to_thread(play, served.url.replace("https", "wss"))) == 3
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ConnectFailed):
            await bounded(asyncio.to_thread(play, served.url))


@requirement("tls:verified")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_a_certificate_of_an_unknown_authority_is_refused_with_the_reason(
    tmp_path: Path, wire: Literal["native", "json"]
) -> None:
    (tmp_path / "other").mkdir()
    files, others = certificates(tmp_path), certificates(tmp_path / "other")
    async with secure(files) as served:
        for trusted in (None, others.ca_file):
            with pytest.raises(ConnectFailed, match="certificate is not to be trusted: .*ca_file=") as caught:
                await bounded(AsyncEnv.connect(served.url, wire=wire, ca_file=trusted))
            assert served.url in str(caught.value)


@requirement("tls:verified")
async def test_a_certificate_of_another_name_is_refused_with_the_reason(tmp_path: Path) -> None:
    files = certificates(tmp_path, "elsewhere.example")
    async with secure(files) as served:
        with pytest.raises(ConnectFailed, match="IP address mismatch"):
            await bounded(AsyncEnv.connect(served.url, ca_file=files.ca_file))


async def test_a_server_that_the_client_does_not_trust_gets_no_token(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.close()

    context = server_context(files.certfile, files.keyfile)
    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed):
            await bounded(AsyncEnv.connect(f"https://127.0.0.1:{port}", token="very-secret"))
    assert b"very-secret" not in b"".join(heard)


async def test_plain_and_encrypted_do_not_meet(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    async with secure(files) as served, serving(play_app(Journal())) as plain:
        for url in (served.url.replace("https", "http"), plain.url.replace("http", "https")):
            with pytest.raises(ConnectFailed):
                await bounded(AsyncEnv.connect(url, ca_file=files.ca_file, connect_timeout_s=1))
        async with AsyncEnv(base_url=served.url, ca_file=files.ca_file) as env:
            assert (await env.reset()).observation["total"] == 0


def test_a_ca_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ca_file: there is no file"):
        AsyncEnv("https://localhost:1", ca_file=tmp_path / "none.pem")


async def test_a_ca_file_that_is_none_is_told(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    async with secure(files) as served:
        with pytest.raises(ConnectFailed):
            await bounded(AsyncEnv.connect(served.url, ca_file=junk))


@requirement("flood:handshakes")
async def test_a_slow_tls_handshake_is_cut_off(tmp_path: Path) -> None:
    async with secure(certificates(tmp_path), handshake_timeout_s=0.3) as served:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"\x16\x03\x01")
        with contextlib.suppress(ConnectionError):
            await bounded(reader.read())
        assert time.perf_counter() - began > 0.2
        writer.transport.abort()
