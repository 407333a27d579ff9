"""Coverage-guided fuzzing of the JSON wire's decoders: `python atheris_json.py [libFuzzer's options]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["openenv_async.protocol"]):
    from openenv_async.errors import InvalidMessage
    from openenv_async.protocol.openenv_json import no_mcp, read_message, read_request


def one(data: bytes) -> None:
    """Read the input as text and as bytes; only promised errors may come of it."""
    for message in (data.decode(errors="replace"), data):
        try:
            no_mcp(read_request(message).data)
        except InvalidMessage:
            pass
        try:
            read_message(message)
        except InvalidMessage:
            pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
