"""What the server uses of Hypercorn that Hypercorn does not document, name by name.

Hypercorn has no public interface for handing a socket over after the handshake, so the server subclasses some of its
classes and reads some of their attributes. A release that lacks one of them fails here, by its name, before it fails
in a user's connection. Raise the upper bound in pyproject.toml only when these tests pass.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parents[2] / "openenv_async" / "server"

IMPORTED = {
    "hypercorn.app_wrappers": ("ASGIWrapper",),
    "hypercorn.asyncio.tcp_server": ("TCPServer",),
    "hypercorn.asyncio.worker_context": ("WorkerContext",),
    "hypercorn.config": ("Config",),
    "hypercorn.events": ("Closed", "Event", "RawData", "Updated"),
    "hypercorn.protocol": ("ProtocolWrapper",),
    "hypercorn.protocol.h11": ("H11Protocol",),
    "hypercorn.protocol.ws_stream": ("WSStream",),
    "hypercorn.typing": ("ASGIFramework", "AppWrapper", "LifespanState"),
}

ATTRIBUTES = {
    "hypercorn.asyncio.tcp_server:TCPServer": (
        *("config", "context", "idle_task", "protocol", "reader", "writer"),
        *("_read_data", "protocol_send", "__await__"),
    ),
    "hypercorn.asyncio.worker_context:WorkerContext": ("mark_request", "sleep", "terminated"),
    "hypercorn.asyncio.worker_context:AsyncioSingleTask": ("stop",),
    "hypercorn.config:Config": (
        *("accesslog", "backlog", "errorlog", "include_server_header", "keep_alive_max_requests"),
        *("keep_alive_timeout", "max_app_queue_size", "read_timeout"),
        *("websocket_max_message_size", "websocket_ping_interval"),
    ),
    "hypercorn.events:Updated": ("idle",),
    "hypercorn.protocol:ProtocolWrapper": (
        *("app", "client", "config", "context", "protocol", "send", "server", "ssl", "state", "task_group"),
        "handle",
    ),
    "hypercorn.protocol.h11:H11Protocol": ("_create_stream", "stream"),
    "hypercorn.protocol.ws_stream:WSStream": ("app_put", "closed", "connection"),
}
"""Class: attributes and methods that are read, set or overridden."""

SIGNATURES = {
    "hypercorn.asyncio.tcp_server:TCPServer": "app loop config context state reader writer",
    "hypercorn.asyncio.worker_context:WorkerContext": "max_requests",
    "hypercorn.protocol.h11:H11Protocol": "app config context task_group connection_state ssl client server send",
}
"""Class: the positional parameters with which it is made."""


def named(path: str) -> Any:
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    assert hasattr(found, name), f"Hypercorn {module} no longer has {name}"
    return getattr(found, name)


def has(cls: type, name: str) -> bool:
    """Whether a class has the attribute: its own, annotated, or assigned to `self` in its code."""
    if hasattr(cls, name) or any(name in base.__dict__.get("__annotations__", {}) for base in cls.__mro__):
        return True
    sources = [textwrap.dedent(inspect.getsource(base)) for base in cls.__mro__ if base is not object]
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) == ("self", name)
        for source in sources
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in ATTRIBUTES.items() for name in names])
def test_hypercorn_has_the_attribute(path: str, name: str) -> None:
    assert has(named(path), name), f"Hypercorn's {path} no longer has {name!r}"


@pytest.mark.parametrize("path", SIGNATURES)
def test_hypercorn_classes_take_the_arguments(path: str) -> None:
    parameters = [
        parameter.name
        for parameter in inspect.signature(named(path)).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    assert parameters == SIGNATURES[path].split(), f"Hypercorn's {path} takes other arguments"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in IMPORTED.items() for name in names])
def test_hypercorn_has_the_name(module: str, name: str) -> None:
    named(f"{module}:{name}")


def test_an_app_reads_from_a_queue_of_asyncio() -> None:
    """`hypercorn_connection` empties the queue behind `app_put`, which it finds as the method's `__self__`."""
    task_group = named("hypercorn.asyncio.task_group:TaskGroup")
    source = inspect.getsource(task_group.spawn_app)
    assert "asyncio.Queue(" in source, "Hypercorn's TaskGroup.spawn_app no longer makes an asyncio.Queue"
    assert "return app_queue.put" in source, "Hypercorn's TaskGroup.spawn_app no longer returns the queue's put"


def test_every_import_from_hypercorn_is_listed() -> None:
    found = {
        (node.module, alias.name)
        for path in SERVER.parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hypercorn"
        for alias in node.names
    }
    assert found == {(module, name) for module, names in IMPORTED.items() for name in names}
