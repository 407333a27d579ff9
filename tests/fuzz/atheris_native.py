"""Coverage-guided fuzzing of the native wire's decoders: `python atheris_native.py [libFuzzer's options]`."""

from __future__ import annotations

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["openenv_async.protocol"]):
    from openenv_async.errors import InvalidMessage, PayloadTooLarge
    from openenv_async.protocol.batching import CLIENT_SIDE, SERVER_SIDE, BadFrame, Inbox, split_array

MOST_BYTES = 2000


def one(data: bytes) -> None:
    """Read the halves of the input as two messages, on either side; only promised errors may come of it."""
    half = len(data) // 2
    for decoder in (CLIENT_SIDE, SERVER_SIDE):
        inbox: Inbox[Any] = Inbox(decoder, MOST_BYTES)
        for message in (data, data[:half], data[half:]):
            for frame in inbox.receive(message):
                if isinstance(frame, BadFrame) and not isinstance(frame.error, (InvalidMessage, PayloadTooLarge)):
                    raise AssertionError(frame)
    try:
        split_array(data)
    except ValueError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
