"""The one environment behind an app's web page, in a session that is opened when somebody first uses it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio

from openenv_async.compat.server.background_loop import at
from openenv_async.compat.server.models import EnvironmentMetadata
from openenv_async.compat.server.serialization import deserialize_action_with_preprocessing
from openenv_async.compat.server.server_handle import cause_of
from openenv_async.compat.server.sessions import KeptSession
from openenv_async.errors import EnvError
from openenv_async.runtime.calls import Call, Wire
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import open_request_session


class WebInterfaceManager:
    """Plays in the page's environment: what a `gradio_builder` is given.

    Args:
        env: the environment's class, a function that builds one, an environment, or the server that has one.
        action_cls: the class of actions.
        observation_cls: the class of observations.
        metadata: what the page says of the environment; by default its class's name.
    """

    def __init__(
        self, env: Any, action_cls: Any, observation_cls: Any, metadata: EnvironmentMetadata | None = None
    ) -> None:
        from openenv_async.compat.server.http_server import HTTPEnvServer

        if not isinstance(env, HTTPEnvServer):
            one = env
            env = HTTPEnvServer(env if callable(env) else lambda: one, action_cls, observation_cls)
        server: HTTPEnvServer = env
        self.action_cls, self.observation_cls = action_cls, observation_cls
        self.metadata = metadata or EnvironmentMetadata(
            name=server.env_name, description=f"{server.env_name} environment"
        )
        self._server = server
        self._session: KeptSession | None = None
        running = server.running
        self._registry = Registry(running.server.blueprint, running.server.limits, 1)
        running.before_drain.append(self.aclose)

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

    def get_state(self) -> dict[str, Any]:
        """Give the state, to code that does not await."""
        return _object(
            asyncio.run_coroutine_threadsafe(self._call_here(Call("state", b"", Wire.JSON)), self._loop).result()
        )

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # Never the one of the app's lifespan, where `get_state` may be waited for.
        return self._server.running.home.own

    async def _call(self, call: Call) -> bytes:
        return await at(self._loop, lambda: self._call_here(call))

    async def _call_here(self, call: Call) -> bytes:
        try:
            if self._session is None or self._session.over:
                self._session = KeptSession(await open_request_session(self._registry))
            return (await self._session.call(call)).data
        except EnvError as error:
            raise cause_of(error) from None

    async def aclose(self) -> None:
        """End the session, where there is one."""
        if self._session is not None:
            await self._session.aclose()


def _object(data: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(data)
    return value
