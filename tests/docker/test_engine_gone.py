"""An engine that goes away while it builds or pushes is a failure with a sentence, never a success."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.docker_fixtures import openenv


class Engine(BaseHTTPRequestHandler):
    """Answers as an engine does, up to the middle of a build."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in ("Step 1/2 : FROM scratch\n", "Step 2/2 : RUN make\n", "making\n"):
            data = json.dumps({"stream": text}).encode() + b"\r\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def engine() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(timeout=30)


def test_a_build_whose_engine_ends_the_connection(tmp_path: Path) -> None:
    (tmp_path / "openenv.yaml").write_text("spec_version: 1\nname: least_env\n", encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nRUN make\n", encoding="utf-8")
    with engine() as address:
        done = openenv("build", tmp_path, DOCKER_HOST=address)
    assert done.returncode == 1
    assert "  making\nError: step 2 of 2 failed, `RUN make`: " in done.stderr
    assert "Traceback" not in done.stderr
