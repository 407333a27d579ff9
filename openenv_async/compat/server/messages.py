"""What travels on `/ws`, as pydantic models: the requests, whose error lists clients see, and the replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from openenv_async.compat.server.models import BaseMessage


class WSResetMessage(BaseMessage):
    """Begin an episode; `data` are the arguments of `reset`."""

    type: Literal["reset"] = "reset"
    data: dict[str, Any] = Field(default_factory=dict)


class WSStepMessage(BaseMessage):
    """Take a step; `data` is the action itself."""

    type: Literal["step"] = "step"
    data: dict[str, Any]


class WSStateMessage(BaseMessage):
    """Ask for the state."""

    type: Literal["state"] = "state"


class WSCloseMessage(BaseMessage):
    """End the session."""

    type: Literal["close"] = "close"


WSIncomingMessage = Annotated[
    WSResetMessage | WSStepMessage | WSStateMessage | WSCloseMessage, Field(discriminator="type")
]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WSObservationResponse(_Reply):
    """The answer to a reset or a step."""

    type: Literal["observation"] = "observation"
    data: dict[str, Any]


class WSStateResponse(_Reply):
    """The answer to a state message."""

    type: Literal["state"] = "state"
    data: dict[str, Any]


class WSErrorResponse(_Reply):
    """What went wrong: `message`, `code`, and what the code brings with it."""

    type: Literal["error"] = "error"
    data: dict[str, Any]
