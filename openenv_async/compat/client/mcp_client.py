"""`openenv.core.mcp_client`: clients of tool environments.

Such a client creates its session over HTTP (`openenv/session/create` at `/mcp`) and
attaches its WebSocket to it, so that tools are called over HTTP in the very session
that `reset` and `step` play. The session outlives a lost WebSocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import ConfigDict

from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.env_client import EnvClient
from openenv_async.compat.client.sync_async import LoopLock
from openenv_async.compat.client.utils import json_default
from openenv_async.compat.server.mcp_types import (
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
    Tool,
    ToolError,
)
from openenv_async.compat.server.types import Observation, State
from openenv_async.transport.address import is_loopback

if TYPE_CHECKING:
    import httpx


_HTTP = {"ws": "http", "wss": "https", "": "http"}


class JsonRpc:
    """Sends JSON-RPC requests to `/mcp`, with one HTTP client for each event loop."""

    def __init__(self) -> None:
        self.client: httpx.AsyncClient | None = None
        """The client of the last request; None before the first one and after `aclose`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_id = 0

    def lend(self, client: httpx.AsyncClient | None) -> None:
        """Use this client from now on, on any event loop; `aclose` closes it."""
        self.client, self._loop = client, None

    async def request(
        self,
        url: str,
        method: str,
        params: dict[str, Any],
        timeout_s: float | None,
        headers: Mapping[str, str] | None,
    ) -> dict[str, Any]:
        """Send a request to the address of `/mcp` and return the whole answer.

        Raises:
            TimeoutError: no answer within `timeout_s` seconds.
            ConnectionError: there was no answer, or it was not JSON-RPC.
        """
        import json

        import httpx

        self._last_id += 1
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": self._last_id}
        content = json.dumps(body, default=json_default).encode()
        try:
            answer = await self._http(url).post(
                url,
                content=content,
                headers=dict(headers or {}) | {"content-type": "application/json"},
                timeout=timeout_s,
            )
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except httpx.TimeoutException as exc:
            raise TimeoutError(f"the server at {url} did not answer {method} within {timeout_s} s") from exc
        except httpx.HTTPStatusError as exc:
            raise ConnectionError(
                f"the server at {url} answered {method} with HTTP {exc.response.status_code}"
            ) from exc
        except (httpx.HTTPError, ValueError) as exc:
            raise ConnectionError(f"Failed to connect to {url}: {exc or type(exc).__name__}") from exc
        return found

    async def aclose(self) -> None:
        """Close the connections. Safe to repeat; the object can be used again."""
        client, self.client = self.client, None
        if client is not None and self._loop in (None, asyncio.get_running_loop()):
            with contextlib.suppress(Exception):
                await client.aclose()

    def _http(self, url: str) -> httpx.AsyncClient:
        import httpx

        loop = asyncio.get_running_loop()
        if self.client is None or self._loop not in (None, loop):
            # A proxy of the environment variables must not be used for this machine.
            self.client = httpx.AsyncClient(trust_env=not is_loopback(httpx.URL(url).host))
            self._loop = loop
        return self.client


def mcp_url(base_url: str) -> str:
    """Return the HTTP address of `/mcp` of a server, for an address of any scheme."""
    whole = base_url if "://" in base_url else f"http://{base_url}"
    parts = urlsplit(whole)
    scheme = _HTTP.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/mcp", "", ""))


class GenericMCPObservation(Observation):
    """An observation that is neither a list of tools nor a tool's result."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, arbitrary_types_allowed=True)


def observation_of(payload: dict[str, Any]) -> Observation:
    """Build the observation of a step's answer: tools, a tool's result, or any other."""
    fields = payload.get("observation", {})
    common = {
        "done": payload.get("done", False),
        "reward": payload.get("reward"),
        "metadata": payload.get("metadata", fields.get("metadata", {})),
    }
    if "tools" in fields:
        return ListToolsObservation(tools=[tool_of(each) for each in fields["tools"]], **common)
    if "tool_name" in fields:
        error = ToolError(**fields["error"]) if fields.get("error") else None
        return CallToolObservation(tool_name=fields["tool_name"], result=fields.get("result"), error=error, **common)
    return GenericMCPObservation(**fields | common)


def tool_of(payload: dict[str, Any]) -> Tool:
    """Build a tool from its JSON form, OpenEnv's or MCP's."""
    schema = payload.get("input_schema", payload.get("inputSchema", {}))
    return Tool(name=payload.get("name", ""), description=payload.get("description", ""), input_schema=schema)


def value_of(result: Any) -> Any:
    """Return the value of a tool's result, without FastMCP's envelope if it has one."""
    return result["data"] if isinstance(result, dict) and "data" in result else result


def result_of(answer: dict[str, Any], failed: str) -> Any:
    """Return the result of a JSON-RPC answer.

    Raises:
        RuntimeError: the answer is an error.
    """
    if "error" in answer:
        raise RuntimeError(f"{failed}: {answer['error'].get('message', 'unknown error')}")
    return answer.get("result")


__all__ = ["GenericMCPObservation", "MCPClientBase", "MCPToolClient"]

logger = logging.getLogger(__name__)

_GONE = "Unknown session_id"
"""Part of a server's error text about a session that it does not have, or no longer."""


class MCPClientBase(EnvClient[Any, Observation, State]):
    """A session of a tool environment that can list its tools.

    Args:
        base_url: see `EnvClient`, as for every argument except `mode`.
        connect_timeout_s: seconds to reach the server.
        message_timeout_s: seconds a call waits for its answer, over HTTP too.
        websocket_ping_interval_s: seconds between two pings to the server.
        websocket_ping_timeout_s: seconds it has to answer.
        provider: starts a server, and stops it with the client.
        mode: `production`, the only mode of these clients.
        max_message_size_mb: largest answer, in MiB.
        headers: sent with every request and whenever a connection is opened.
        options: the older names of `EnvClient`.

    Raises:
        ValueError: another mode, or neither `base_url` nor `provider`.
    """

    _dispatched: ClassVar[tuple[str, ...]] = ("list_tools", "call_tool", "get_tool", "has_tool")

    # Of the class too: tests of environments create clients without calling the constructor.
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
        """Return the environment's tools; an empty list, with a log entry, where they cannot be listed.

        Args:
            use_cache: return the tools that an earlier call found.
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
        # The session is created over HTTP first; the WebSocket then attaches to it.
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
            # The server has closed the session, or has been replaced.
            self._production_session_id = None
            if message.get("type") == "reset":
                return await super()._send_and_receive(message)
            self._lost = f"the server does not know the session any longer ({exc}); call reset() to begin another"
            raise ConnectionError(self._lost) from exc

    async def _ensure_production_session(self) -> str:
        """Return the session's id, creating the session if there is none.

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
        """Send a request to `/mcp` and return the whole answer.

        Raises:
            TimeoutError: no answer within `message_timeout_s`.
            ConnectionError: the server cannot be reached, or has no such route.
        """
        return await self._rpc.request(
            self._production_mcp_url(), method, params or {}, self._message_timeout, self._headers
        )

    def _production_mcp_url(self) -> str:
        """Return the address of `/mcp`.

        Raises:
            RuntimeError: there is no server yet.
        """
        if self._base_url is None:
            raise RuntimeError("MCP client is not connected to a server.")
        return mcp_url(self._base_url)

    @property
    def _http_client(self) -> Any:
        """The httpx client of these requests, if there is one already; it may be replaced."""
        return self._rpc.client

    @_http_client.setter
    def _http_client(self, client: Any) -> None:
        self._rpc.lend(client)

    def _step_payload(self, action: Any) -> dict[str, Any]:
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
        return StepResult(
            observation_of(payload), payload.get("reward"), payload.get("done", False), payload.get("metadata")
        )

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(episode_id=payload.get("episode_id"), step_count=payload.get("step_count", 0))

    async def _close_async(self) -> None:
        # The WebSocket detaches first, because the server does not close a session that has one attached.
        try:
            await self._disconnect_async()
            session_id, self._production_session_id = self._production_session_id, None
            if session_id is not None:
                try:
                    await self._production_mcp_request("openenv/session/close", {"session_id": session_id})
                except Exception as exc:
                    logger.debug("the session %s could not be closed: %s", session_id, exc)
        finally:
            try:
                await self._rpc.aclose()
            finally:
                await super()._close_async()


class MCPToolClient(MCPClientBase):
    """A session of a tool environment whose tools are called one at a time."""

    def call_tool(self, name: str, **kwargs: Any) -> Any:
        """Call a tool in the session and return its result.

        Args:
            name: the tool.
            kwargs: its arguments.

        Raises:
            RuntimeError: the tool failed, or does not exist.
            TimeoutError: no answer in time.
            ConnectionError: the server cannot be reached.
        """
        return self._dispatch(lambda: self._call_tool_async(name, kwargs), "call_tool")

    def get_tool(self, name: str) -> Any:
        """Return a tool by its name; None where there is none."""
        return self._dispatch(lambda: self._get_tool_async(name), "get_tool")

    def has_tool(self, name: str) -> Any:
        """Return whether there is a tool of that name."""
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
        # Through the public method, which a subclass may override.
        tools: list[Tool] = await self.list_tools()
        return next((tool for tool in tools if tool.name == name), None)

    async def _has_tool_async(self, name: str) -> bool:
        return await self._get_tool_async(name) is not None
