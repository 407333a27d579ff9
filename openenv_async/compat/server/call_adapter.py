"""How OpenEnv calls an environment, as the runtime's `CallAdapter`.

`reset_async` and `step_async` replace `reset` and `step` where the author overrode
them; keyword arguments that a method does not take are left out; the author applies
transforms. Pydantic writes the results.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import TypeAdapter, ValidationError

from openenv_async.codec.encoding import encode_dumped_json
from openenv_async.compat.client.utils import accepted
from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.mcp_types import JsonRpcErrorCode, JsonRpcResponse
from openenv_async.compat.server.serialization import invalid, jsonable, loads, serialize_observation, split_of
from openenv_async.compat.server.tools import answering, has_server, read_request
from openenv_async.compat.server.types import (
    EnvironmentMetadata,
    ResetResponse,
    StepResponse,
    WSObservationResponse,
    WSStateResponse,
)
from openenv_async.errors import EnvError, EnvironmentFailed
from openenv_async.protocol.error_mapping import safe_text
from openenv_async.runtime.call_adapter import CallAdapter, EnvironmentCodecs, Prepared, read_state, reset_arguments
from openenv_async.runtime.calls import Call, CallKind, Outcome, Wire
from openenv_async.runtime.rendering import draw, drawn

logger = logging.getLogger("openenv_async.compat")


class OpenEnvCallAdapter(CallAdapter):
    """For environments written for OpenEnv."""

    def is_async(self, env: Any) -> bool:
        return any(self.is_coroutine(env, kind) for kind in _METHODS)

    def is_coroutine(self, env: Any, kind: CallKind) -> bool:
        if kind == "mcp":
            return has_server(env) or self.is_coroutine(env, "step")
        if kind not in _METHODS:
            return False
        return overrides(env, f"{kind}_async") or inspect.iscoroutinefunction(getattr(env, kind, None))

    def prepare(self, codecs: EnvironmentCodecs, env: Any, call: Call) -> Prepared:
        try:
            return self._prepare(codecs, env, call)
        except EnvError:
            raise
        except BaseException as exc:  # a validator of the author's may raise anything
            raise _failed(exc) from exc

    def _prepare(self, codecs: EnvironmentCodecs, env: Any, call: Call) -> Prepared:
        if call.kind == "step":
            return _prepare_step(codecs, env, call)
        if call.kind == "reset":
            arguments = reset_arguments(call) if call.wire is Wire.NATIVE else loads(call.payload)
            method = env.reset_async if overrides(env, "reset_async") else env.reset
            fitted, left_out = fit(method, arguments)
            warnings = tuple(f"the environment's reset() takes no {name!r}: it is ignored" for name in left_out)
            for warning in warnings:
                logger.warning("%s", warning)
            return functools.partial(method, **fitted), warnings if call.wire is Wire.NATIVE else ()
        if call.kind == "metadata":
            return env.get_metadata, ()
        if call.kind == "mcp":
            return _prepare_rpc(codecs, env, call), ()
        if call.kind == "task":
            return _prepare_task(env, call), ()
        if call.kind == "web":
            return functools.partial(draw, env, loads(call.payload)), ()
        return lambda: read_state(env), ()

    def transform(self, env: Any, call: Call) -> Callable[[Any], Any]:
        return lambda value: value  # the author's `_apply_transform` has changed it

    def session(self, env: Any, call: Call) -> AbstractAsyncContextManager[Any] | None:
        # The connection to an MCP environment's tools. Over HTTP the environment takes a single step, which opens it
        # itself: tools run in the context of the code that opened it.
        opening = getattr(env, "mcp_session", None)
        return opening() if callable(opening) and call.wire is not Wire.HTTP else None

    def finish(self, codecs: EnvironmentCodecs, call: Call, value: Any, warnings: tuple[str, ...]) -> Outcome:
        try:
            return Outcome(_FINISH[call.kind](codecs, call, value), warnings)
        except EnvError:
            raise
        except BaseException as exc:  # a serializer of the author's may raise anything
            raise _failed(exc) from exc

    def failure(self, exc: BaseException) -> EnvError | None:
        # A pydantic error of the environment's own code counts as an invalid message too, as on OpenEnv.
        return invalid(exc) if isinstance(exc, ValidationError) else None


CALL_ADAPTER = OpenEnvCallAdapter()

_METHODS: tuple[CallKind, ...] = ("reset", "step")


def _failed(exc: BaseException) -> EnvError:
    if isinstance(exc, ValidationError):
        return invalid(exc)
    return EnvironmentFailed(safe_text(exc), exception_type=type(exc).__name__)


def overrides(env: Any, name: str) -> bool:
    """Return whether an environment, or a class of environments, overrides a method of the base class."""
    method = getattr(env, name, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Environment, name)


def fit(method: Callable[..., Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the keyword arguments that a bound method takes, and the names of those it does not."""
    fitted = accepted(method, arguments)
    return fitted, [name for name in arguments if name not in fitted]


def _prepare_step(codecs: EnvironmentCodecs, env: Any, call: Call) -> Prepared:
    method = env.step_async if overrides(env, "step_async") else env.step
    arguments: dict[str, Any] = {}
    if call.wire is Wire.HTTP:
        body = loads(call.payload)
        action = codecs.action.from_builtins(body.pop("action"))
        arguments = {name: value for name, value in body.items() if name != "action"}
    elif call.wire is Wire.JSON:
        action = codecs.action.decode_json(call.payload)
    else:
        action = codecs.action.decode_msgpack(call.payload)
        arguments = {} if call.timeout_s is None else {"timeout_s": call.timeout_s}
    fitted = fit(method, arguments)[0] if arguments else {}
    return functools.partial(method, action, **fitted), ()


def _prepare_rpc(codecs: EnvironmentCodecs, env: Any, call: Call) -> Callable[[], Any]:
    request = read_request(loads(call.payload))
    if isinstance(request, JsonRpcResponse):
        return lambda: request
    step = env.step_async if overrides(env, "step_async") else env.step
    return answering(env, request, codecs.action.cls, step)


def _prepare_task(env: Any, call: Call) -> Callable[[], Any]:
    """Return the function that asks for tasks: its dict holds the value, or a problem that has its own HTTP status."""
    name, *arguments = loads(call.payload)

    def ask() -> Any:
        method = getattr(env, name, None)
        if not callable(method):
            return _NO_METHOD
        try:
            value = method(*arguments)
        except (NotImplementedError, IndexError) as exc:
            return _problem(exc)
        return _asked(value) if inspect.isawaitable(value) else {"value": value}

    return ask


_NO_METHOD = {"problem": "NotImplementedError"}


async def _asked(waiting: Awaitable[Any]) -> dict[str, Any]:
    try:
        return {"value": await waiting}
    except (NotImplementedError, IndexError) as exc:
        return _problem(exc)


def _problem(exc: Exception) -> dict[str, Any]:
    return {"problem": "IndexError" if isinstance(exc, IndexError) else "NotImplementedError"}


def _finish_observation(codecs: EnvironmentCodecs, call: Call, value: Any) -> bytes:
    if call.wire is Wire.NATIVE:
        return codecs.observation.encode_native(value)
    data = serialize_observation(value)
    if call.wire is Wire.JSON:
        return encode_dumped_json(WSObservationResponse(data=data).data)
    response = ResetResponse(**data) if call.kind == "reset" else StepResponse(**data)
    return encode_dumped_json(response.model_dump())


def _finish_state(codecs: EnvironmentCodecs, call: Call, value: Any) -> bytes:
    if call.wire is Wire.HTTP:
        return _written(codecs.state.cls, value)
    if call.wire is Wire.NATIVE:
        return codecs.state.encode_msgpack({} if value is None else value)
    data = value.model_dump() if hasattr(value, "model_dump") else dict(value) if value else {}
    return encode_dumped_json(WSStateResponse(data=data).data)


def _finish_metadata(codecs: EnvironmentCodecs, call: Call, value: Any) -> bytes:
    return _written(EnvironmentMetadata, value)


def _finish_task(codecs: EnvironmentCodecs, call: Call, value: Any) -> bytes:
    if "problem" in value:
        return encode_dumped_json(value)
    name, found = loads(call.payload)[0], value["value"]
    if name == "list_splits":
        found = [split_of(split) for split in found]
    elif name != "num_tasks":
        found = jsonable(found)
    return encode_dumped_json({"value": found})


def _finish_web(codecs: EnvironmentCodecs, call: Call, value: Any) -> bytes:
    return encode_dumped_json(jsonable(drawn(value)))


def _written(cls: Any, value: Any) -> bytes:
    """Write a value as FastAPI does for a response model: by the fields of the declared class."""
    adapter = _adapter(cls)
    return adapter.dump_json(adapter.validate_python(value, from_attributes=True), by_alias=True)


@functools.lru_cache(maxsize=256)
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _finish_rpc(codecs: EnvironmentCodecs, call: Call, value: Any) -> bytes:
    try:
        return encode_dumped_json(value.model_dump())
    except EnvError as error:
        answer = JsonRpcResponse.error_response(JsonRpcErrorCode.INTERNAL_ERROR, str(error), request_id=value.id)
        return encode_dumped_json(answer.model_dump())


_FINISH: dict[CallKind, Callable[[Any, Call, Any], bytes]] = {
    "reset": _finish_observation,
    "step": _finish_observation,
    "state": _finish_state,
    "metadata": _finish_metadata,
    "task": _finish_task,
    "mcp": _finish_rpc,
    "web": _finish_web,
}
