"""A TCP proxy that ends TLS, in a process of its own: what stands in front of a server that is reached under https.

Both sides of a comparison are played through the same one. `python -m benchmarks.tls_proxy PORT CERTFILE KEYFILE`
prints the port it listens on and forwards each connection to PORT of this machine.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import trustme

from benchmarks.plan import ROOT
from benchmarks.processes import Child
from benchmarks.servers import Server

READY_S = 30.0
"""Seconds the proxy has to listen."""

_READ_BYTES = 256 * 1024


class TlsProxy(Child):
    """The proxy in front of one server; `url` is where clients go, `trust` what tells them whom to trust."""

    def __init__(self, server: Server, folder: Path) -> None:
        """Start it and wait until it listens."""
        authority = trustme.CA()
        made = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        made.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        port = server.url.rpartition(":")[2]
        super().__init__([sys.executable, "-m", "benchmarks.tls_proxy", port, str(folder / "server.pem")], cwd=ROOT)
        try:
            self.url = f"https://localhost:{int(self.read_line(READY_S))}"
        except BaseException:
            self.stop()
            raise
        self.trust = {"SSL_CERT_FILE": str(folder / "ca.pem")}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def _serve(port: int, certfile: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def main() -> None:
    """Forward until this process is ended."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
