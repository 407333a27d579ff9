"""The one environment behind an app's web page, in a session that is opened when somebody first uses it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anyio

from openenv_async.compat.server.models import EnvironmentMetadata
from openenv_async.compat.server.serialization import deserialize_action_with_preprocessing
from openenv_async.errors import EnvError
from openenv_async.runtime.calls import Call, Wire
from openenv_async.runtime.direct import DirectSession, open_direct

if TYPE_CHECKING:
    from openenv_async.compat.server.http_server import HTTPEnvServer


class WebInterfaceManager:
    """Plays in the page's environment: what a `gradio_builder` is given.

    Args:
        server: whose environment it is.
        action_cls: the class of actions.
        observation_cls: the class of observations.
        metadata: what the page says of the environment.
    """

    def __init__(
        self, server: HTTPEnvServer, action_cls: Any, observation_cls: Any, metadata: EnvironmentMetadata
    ) -> None:
        self.action_cls, self.observation_cls, self.metadata = action_cls, observation_cls, metadata
        self._server = server
        self._session: DirectSession | None = None
        self._turn = asyncio.Lock()

    async def reset_environment(self, reset_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
        """Begin an episode; gives the first observation as it travels."""
        return _object(await self.reset_json(reset_kwargs or {}))

    async def step_environment(self, action_data: dict[str, Any]) -> dict[str, Any]:
        """Take a step; gives the observation as it travels.

        Raises:
            pydantic.ValidationError: the action does not fit.
        """
        return _object(await self.step_json(action_data))

    async def get_state_async(self) -> dict[str, Any]:
        """Give the state."""
        return _object(await self.state_json())

    async def reset_json(self, arguments: dict[str, Any]) -> bytes:
        """As `reset_environment`, written."""
        return await self._call(Call("reset", json.dumps(arguments).encode(), Wire.JSON))

    async def step_json(self, action_data: dict[str, Any]) -> bytes:
        """As `step_environment`, written."""
        action = await anyio.to_thread.run_sync(deserialize_action_with_preprocessing, action_data, self.action_cls)
        return await self._call(Call("step", json.dumps(action.model_dump(mode="json")).encode(), Wire.JSON))

    async def state_json(self) -> bytes:
        """As `get_state_async`, written."""
        return await self._call(Call("state", b"", Wire.JSON))

    async def _call(self, call: Call) -> bytes:
        async with self._turn:
            try:
                if self._session is None or self._session.over.done():
                    self._session = await open_direct(self._server.running.requests)
                return (await self._session.call(call)).data
            except EnvError as error:
                raise (error.__cause__ if isinstance(error.__cause__, Exception) else error) from None


def _object(data: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(data)
    return value
