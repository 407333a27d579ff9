# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""What travels, as OpenEnv's template writes it. Its wire is JSON, so bytes travel as base64 and arrays as lists."""

from openenv.core.env_server.types import Action, Observation


class EchoAction(Action):
    """A message to send back."""

    message: str


class EchoObservation(Observation):
    """The message, and how many steps the episode has had."""

    message: str = ""
    count: int = 0


class PayloadAction(Action):
    """Ask for an observation of `size` bytes."""

    size: int


class BytesObservation(Observation):
    """Bytes as base64: `bytes` fields fail in OpenEnv as soon as they are not UTF-8."""

    data: str = ""
    count: int = 0


class ArrayObservation(Observation):
    """Pixels as a list of ints, as OpenEnv's own Atari environment sends its screen."""

    data: list[int] = []
    count: int = 0
