"""`openenv.core.mcp_client`: clients of tool environments.

Such a client's session is made over HTTP (`openenv/session/create` at `/mcp`) and
attached to by its WebSocket, so that tools are called over HTTP in the very session
that `reset` and `step` play. The session outlives a lost WebSocket.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.env_client import EnvClient
from openenv_async.compat.client.jsonrpc import JsonRpc, mcp_url
from openenv_async.compat.client.mcp_results import GenericMCPObservation, observation_of, result_of, tool_of, value_of
from openenv_async.compat.client.sync_async import LoopLock
from openenv_async.compat.server.mcp_types import (
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
    Tool,
)
from openenv_async.compat.server.types import Observation, State

__all__ = ["GenericMCPObservation", "MCPClientBase", "MCPToolClient"]

logger = logging.getLogger(__name__)

_GONE = "Unknown session_id"
"""How a server says that it does not have a session, or no longer."""


class MCPClientBase(EnvClient[Any, Observation, State]):
    """A session of a tool environment, with the discovery of its tools.

    Args:
        base_url: see `EnvClient`, as for every argument but `mode`.
        connect_timeout_s: seconds to reach the server.
        message_timeout_s: seconds a call waits for its answer, over HTTP too.
        websocket_ping_interval_s: seconds of silence after which the server is asked whether it lives.
        websocket_ping_timeout_s: seconds it has to answer.
        provider: starts a server, and ends it with the client.
        mode: `production`, the only one there is for these clients.
        max_message_size_mb: largest answer, in MiB.
        headers: sent with every request and whenever a connection is opened.
        options: the older names that `EnvClient` takes.

    Raises:
        ValueError: another mode, or neither `base_url` nor `provider`.
    """

    _dispatched: ClassVar[tuple[str, ...]] = ("list_tools", "call_tool", "get_tool", "has_tool")

    # Of the class too: tests of environments make clients without their constructor.
    use_production_mode: bool = False
    _tools_cache: list[Tool] | None = None
    _production_session_id: str | None = None

    def __init__(
        self,
        base_url: str | None = None,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float = 60.0,
        websocket_ping_interval_s: float | None = 20.0,
        websocket_ping_timeout_s: float | None = 20.0,
        provider: Any = None,
        mode: str | None = None,
        max_message_size_mb: float = 100.0,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        if mode is not None and mode.lower() != "production":
            raise ValueError(
                f"MCPToolClient only supports 'production' mode, got '{mode}'. "
                "Use GenericEnvClient for simulation mode."
            )
        super().__init__(
            base_url=base_url,
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_size_mb=max_message_size_mb,
            websocket_ping_interval_s=websocket_ping_interval_s,
            websocket_ping_timeout_s=websocket_ping_timeout_s,
            provider=provider,
            mode="production",
            headers=headers,
            **options,
        )
        self.use_production_mode = True
        self._one_session = LoopLock()
        self._rpc = JsonRpc()

    def list_tools(self, use_cache: bool = True) -> Any:
        """Give the tools of the environment: none where the server cannot be reached or has none, with a log entry.

        Args:
            use_cache: give what an earlier call found.
        """
        return self._dispatch(lambda: self._list_tools_async(use_cache), "list_tools")

    def _keeps_session(self) -> bool:
        return self._production_session_id is not None

    async def _list_tools_async(self, use_cache: bool = True) -> list[Tool]:
        if use_cache and self._tools_cache is not None:
            return self._tools_cache
        if not self.use_production_mode:
            listed = (await self.step(ListToolsAction())).observation
            self._tools_cache = listed.tools if isinstance(listed, ListToolsObservation) else []
            return self._tools_cache
        try:
            params = {"session_id": await self._ensure_production_session()}
            answer = await self._production_mcp_request("tools/list", params)
            tools = [tool_of(each) for each in result_of(answer, "list_tools failed")["tools"]]
        except Exception as exc:
            logger.warning("no tools could be listed at %s: %s", self._base_url, exc)
            return []
        self._tools_cache = tools
        return tools

    async def _open(self) -> None:
        """Make the session over HTTP first; the WebSocket then attaches to it."""
        if self.use_production_mode:
            try:
                await self._start_provider_if_needed()
                await self._ensure_production_session()
            except BaseException:
                await self._close_quietly()
                raise
        await super()._open()

    async def _open_socket(self) -> Any:
        url = self._ws_url
        assert url is not None  # the constructor or the provider gave it
        if self._production_session_id is None:
            return await super()._open_socket()
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"session_id": self._production_session_id}
        self._ws_url = urlunsplit(parts._replace(query=urlencode(query)))
        try:
            return await super()._open_socket()
        finally:
            self._ws_url = url

    async def _send_and_receive(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return await super()._send_and_receive(message)
        except RuntimeError as exc:
            if self._production_session_id is None or _GONE not in str(exc):
                raise
            # The server has ended it, or is another one by now.
            self._production_session_id = None
            if message.get("type") == "reset":
                return await super()._send_and_receive(message)
            self._lost = f"the server does not know the session any longer ({exc}); call reset() to begin another"
            raise ConnectionError(self._lost) from exc

    async def _ensure_production_session(self) -> str:
        """Give the session's name, making the session if there is none.

        Raises:
            RuntimeError: the server refused.
            ConnectionError: it cannot be reached.
        """
        async with self._one_session.here():
            if self._production_session_id is None:
                answer = await self._production_mcp_request("openenv/session/create")
                session_id = result_of(answer, "Failed to create MCP session").get("session_id")
                if not session_id:
                    raise RuntimeError("Failed to create MCP session: missing session_id")
                self._production_session_id = str(session_id)
            return self._production_session_id

    async def _production_mcp_request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask `/mcp` and give the whole answer.

        Raises:
            TimeoutError: no answer within `message_timeout_s`.
            ConnectionError: the server cannot be reached, or has no such route.
        """
        return await self._rpc.request(
            self._production_mcp_url(), method, params or {}, self._message_timeout, self._headers
        )

    def _production_mcp_url(self) -> str:
        """Give the address of `/mcp`.

        Raises:
            RuntimeError: there is no server yet.
        """
        if self._base_url is None:
            raise RuntimeError("MCP client is not connected to a server.")
        return mcp_url(self._base_url)

    @property
    def _http_client(self) -> Any:
        """The httpx client of these requests, if there is one already; another may be put in its place."""
        return self._rpc.client

    @_http_client.setter
    def _http_client(self, client: Any) -> None:
        self._rpc.lend(client)

    def _step_payload(self, action: Any) -> dict[str, Any]:
        """Give a tool's action its form on the wire; take models and dicts as they are."""
        if isinstance(action, ListToolsAction):
            return {"type": "list_tools"}
        if isinstance(action, CallToolAction):
            return {"type": "call_tool", "tool_name": action.tool_name, "arguments": action.arguments}
        if isinstance(action, dict):
            return action
        if hasattr(action, "model_dump"):
            fields: dict[str, Any] = action.model_dump()
            return fields
        return {"action": str(action)}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[Observation]:
        """Make the observation of its kind: tools, a tool's result, or any other."""
        return StepResult(
            observation_of(payload), payload.get("reward"), payload.get("done", False), payload.get("metadata")
        )

    def _parse_state(self, payload: dict[str, Any]) -> State:
        """Keep what every state has."""
        return State(episode_id=payload.get("episode_id"), step_count=payload.get("step_count", 0))

    async def _close_async(self) -> None:
        """See `EnvClient.close`. The WebSocket lets go of the session first; the server would not end it otherwise."""
        try:
            await self._disconnect_async()
            session_id, self._production_session_id = self._production_session_id, None
            if session_id is not None:
                try:
                    await self._production_mcp_request("openenv/session/close", {"session_id": session_id})
                except Exception as exc:
                    logger.debug("the session %s could not be ended: %s", session_id, exc)
        finally:
            try:
                await self._rpc.aclose()
            finally:
                await super()._close_async()


class MCPToolClient(MCPClientBase):
    """A session of a tool environment whose tools are called one at a time."""

    def call_tool(self, name: str, **kwargs: Any) -> Any:
        """Call a tool in the session and give what it gave.

        Args:
            name: the tool.
            kwargs: its arguments.

        Raises:
            RuntimeError: the tool failed, or there is none of that name.
            TimeoutError: no answer in time.
            ConnectionError: the server cannot be reached.
        """
        return self._dispatch(lambda: self._call_tool_async(name, kwargs), "call_tool")

    def get_tool(self, name: str) -> Any:
        """Give a tool by its name; None where there is none."""
        return self._dispatch(lambda: self._get_tool_async(name), "get_tool")

    def has_tool(self, name: str) -> Any:
        """Say whether there is a tool of that name."""
        return self._dispatch(lambda: self._has_tool_async(name), "has_tool")

    async def _call_tool_async(self, name: str, arguments: dict[str, Any]) -> Any:
        if self.use_production_mode:
            params = {"name": name, "arguments": arguments, "session_id": await self._ensure_production_session()}
            return value_of(
                result_of(await self._production_mcp_request("tools/call", params), f"Tool '{name}' failed")
            )
        observation = (await self.step(CallToolAction(tool_name=name, arguments=arguments))).observation
        if not isinstance(observation, CallToolObservation):
            return observation
        if observation.error is not None:
            error = observation.error
            raise RuntimeError(f"Tool '{name}' failed: {error.message} (type: {error.error_type.value})")
        return value_of(observation.result)

    async def _get_tool_async(self, name: str) -> Tool | None:
        # By the public method, which a subclass may override.
        tools: list[Tool] = await self.list_tools()
        return next((tool for tool in tools if tool.name == name), None)

    async def _has_tool_async(self, name: str) -> bool:
        return await self._get_tool_async(name) is not None
