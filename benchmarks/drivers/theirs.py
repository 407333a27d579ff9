# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""The peer's client, typed as its template writes it, async and through `.sync()`."""

import asyncio
from functools import partial

from benchmarks.drivers import load, speech
from benchmarks.environments.theirs.client import ArrayClient, BytesClient, EchoClient
from benchmarks.environments.theirs.models import EchoAction, PayloadAction

CLIENTS = {"echo": EchoClient, "bytes": BytesClient, "array": ArrayClient}


def action_and_check(kind, size):
    """Give the action to repeat and the test of its last result."""
    if kind == "echo":

        def check(result, played):
            assert result.observation.count == played, f"step {played} came back as {result.observation.count}"
            assert result.observation.message == "hello"

        return EchoAction(message="hello"), check

    def check_size(result, played):
        assert result.observation["count"] == played, f"step {played} came back as {result.observation['count']}"
        assert len(result.observation["data"]) == size

    return PayloadAction(size=size), check_size


def main():
    options = speech.options()
    client_class = CLIENTS[options["kind"]]
    action, check = action_and_check(options["kind"], options["size"])

    async def opener():
        client = client_class(base_url=options["url"])
        await client.connect()
        await client.reset()
        return load.Session(partial(client.step, action), check, client.close)

    if options["blocking"]:
        client = client_class(base_url=options["url"]).sync()
        client.connect()
        client.reset()
        load.drive_blocking(load.Session(partial(client.step, action), check, client.close), loop="asyncio")
    else:
        asyncio.run(load.drive(opener, options["sessions"], loop="asyncio"))


if __name__ == "__main__":
    speech.run(main)
