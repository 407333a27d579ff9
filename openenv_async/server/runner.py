"""Runs an ASGI app under Hypercorn in this process.

Binds, starts the app and listens; on stop it drains the environments, ends the
connections and the app. Also holds Hypercorn's settings, and the event loop and the
signals of the blocking form. `server.sockets` binds, `server.hypercorn_worker` holds
the connections, `server.lifespan` runs the app's startup and shutdown. Any ASGI app
can be served: of `EnvApp` only `drain` and `limits` of `app.server` are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from starlette.types import ASGIApp

from openenv_async.limits import MIB, Limits
from openenv_async.server.hypercorn_connection import WorkerConfig
from openenv_async.server.hypercorn_worker import Worker
from openenv_async.server.lifespan import Lifespan
from openenv_async.server.operator_key import OperatorKey
from openenv_async.server.sockets import BACKLOG, Bind, Listeners

logger = logging.getLogger("openenv_async.server")

Ready = Callable[[list[str]], None]
"""Called with the addresses once the server answers on them."""

_MESSAGE_MARGIN = 16 * MIB
_CLOSE_MARGIN_S = 6.0

_MOST_UNREAD = 2
"""Messages, of any size, that may wait until an app reads them; then the socket is not read any further."""

_STARTUP_TIMEOUT_S = 300.0
_CUT_SHORT_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeOptions:
    """Options of a server, apart from where it listens."""

    grace_s: float | None = None
    """Seconds that calls in flight are given when the server stops; `None`: the app's own limit."""

    linger_s: float = 3.0
    """Seconds that a connection may take to end once its calls have; then it is cut off."""

    access_log: bool | logging.Logger = False
    """Whether each request and socket is written to stdout; or the logger for them."""

    ping_interval_s: float = 20.0
    """Seconds between WebSocket pings; they keep proxies from closing a quiet connection."""

    silence_s: float = 300.0
    """Seconds without a byte from a WebSocket client, pongs included, after which the connection is closed. Long,
    because a trainer that computes for minutes answers no ping meanwhile; it can resume its sessions afterwards."""

    keep_alive_s: float = 75.0
    """Seconds that an HTTP connection may be idle between two requests."""

    tls: ssl.SSLContext | None = None
    """The server's certificate and key, see `server.tls`; with them the addresses are `https://`."""

    handover: bool = False
    """Stop listening before the calls in flight end, because another process listens on the same socket.
    Otherwise a client that connects meanwhile gets the error that the server is closing."""


@runtime_checkable
class HasServer(Protocol):
    """An app with the attribute `server`, such as one of `create_app`."""

    server: object


@runtime_checkable
class HasLimits(Protocol):
    """An `app.server` whose limits hold for connections too."""

    limits: Limits


@runtime_checkable
class HasOperators(Protocol):
    """What `app.server` has where operators may list and end its sessions."""

    operator_key: OperatorKey


@runtime_checkable
class Drains(Protocol):
    """An `app.server` whose environments are closed before the sockets."""

    async def drain(self, grace_s: float) -> None:
        """Refuse new work, let calls in flight end, close every environment and socket. Safe to repeat."""


@runtime_checkable
class Retires(Drains, Protocol):
    """An `app.server` whose episodes may continue while the server is being replaced."""

    async def retire(self, grace_s: float) -> None:
        """Drain, but let episodes in progress continue for that time."""


class Stop(asyncio.Event):
    """Event that stops a server when set."""

    replaced = False
    """Another server takes over: episodes in progress may continue within the grace period, as after SIGTERM."""


async def serve(
    app: ASGIApp,
    *,
    bind: Sequence[Bind] | Listeners = (("127.0.0.1", 8000),),
    options: ServeOptions | None = None,
    ready: Ready | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set or this call is cancelled; both end cleanly and within a bound.

    Args:
        app: an ASGI app, usually from `create_app`.
        bind: where to listen; or listeners that are already bound, which this call closes.
        options: see `ServeOptions`.
        ready: called with the addresses, as `http://127.0.0.1:8000` or `unix:/path`, once requests are answered.
        stop: set it to stop the server; see `Stop`.

    Raises:
        BindFailed: an address cannot be listened on; nothing was started.
        AppStartFailed: the app's startup code failed.
    """
    options = options or ServeOptions()
    with bind if isinstance(bind, Listeners) else Listeners.bind(*bind) as listeners:
        lifespan = Lifespan(app)
        limits = _limits(app)
        worker = Worker(
            app,
            _config(app, options),
            lifespan.state,
            max_connections=limits.max_connections,
            handshake_timeout_s=limits.handshake_timeout_s,
            tls=options.tls,
        )
        try:
            await lifespan.startup(_STARTUP_TIMEOUT_S)
            await worker.listen(listeners.sockets)
            urls = [url.replace("http://", "https://") if options.tls else url for url in listeners.urls]
            with _operator_key(app, urls):
                if ready is not None:
                    ready(urls)
                await (stop or asyncio.Event()).wait()
        finally:
            replaced = isinstance(stop, Stop) and stop.replaced and not options.handover
            await _despite_cancellation(_end(app, worker, lifespan, listeners, options, replaced))


def serve_app(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    unix: str | Path | None = None,
    listeners: Listeners | None = None,
    options: ServeOptions | None = None,
    ready: Ready | None = None,
    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    on_signal: Callable[[], object] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then stop cleanly and return. A second signal ends the process at once.

    Runs an event loop of its own (uvloop where it is installed). Signals are
    handled only in the main thread; elsewhere the process has to end the server.

    Args:
        app: an ASGI app, usually from `create_app`.
        host: a name or address of this machine; `0.0.0.0` lets other machines in.
        port: 0 picks a free one.
        unix: path of a unix socket, instead of host and port.
        listeners: sockets that are already bound, instead of host, port or unix.
        options: see `ServeOptions`.
        ready: called with the addresses; by default they are written to stderr.
        signals: which of them stop the server.
        on_signal: called inside the handler of the first one, where little more than `os.write` is safe.

    Raises:
        BindFailed: the address cannot be listened on.
        AppStartFailed: the app's startup code failed.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        loop = runner.get_loop()
        loop.set_default_executor(_LeavingExecutor(thread_name_prefix="asyncio"))
        stop = Stop()

        def on_first(kind: int) -> None:
            # After Ctrl-C a person waits; SIGTERM is how an operator replaces a server by the next version.
            stop.replaced = kind == signal.SIGTERM
            loop.call_soon_threadsafe(stop.set)
            if on_signal is not None:
                on_signal()

        bind: Listeners | list[Bind] = listeners or [unix if unix is not None else (host, port)]
        with _handling(signals, on_first):
            runner.run(serve(app, bind=bind, options=options, ready=ready or _announce, stop=stop))


async def _end(
    app: ASGIApp, worker: Worker, lifespan: Lifespan, listeners: Listeners, options: ServeOptions, replaced: bool
) -> None:
    limits = _limits(app)
    grace_s = limits.grace_s if options.grace_s is None else options.grace_s
    bound_s = grace_s + limits.close_timeout_s + _CLOSE_MARGIN_S
    if options.handover:
        await worker.stop_listening()
    core = _core(app)
    linger_s = max(grace_s, options.linger_s)  # an app without `drain`: its requests are its calls
    if isinstance(core, Drains):
        # Before the connections end, so that every client gets a message and every environment is closed.
        linger_s = options.linger_s
        try:
            ending = core.retire if replaced and isinstance(core, Retires) else core.drain
            await asyncio.wait_for(ending(grace_s), bound_s)
        except TimeoutError:
            logger.error("environments did not close within %g s; they are left behind", bound_s)
        except Exception:
            logger.exception("closing the environments failed")
    await worker.close(linger_s)
    listeners.close()
    await lifespan.shutdown(bound_s)


@contextlib.contextmanager
def _operator_key(app: ASGIApp, urls: list[str]) -> Iterator[None]:
    """Publish the key of the app's operators while the server listens."""
    core = _core(app)
    if not isinstance(core, HasOperators):
        yield
        return
    core.operator_key.publish(urls)
    try:
        yield
    finally:
        core.operator_key.withdraw()


async def _despite_cancellation(ending: Coroutine[Any, Any, None]) -> None:
    """Let `ending` finish though this task is cancelled; a cancellation during it cuts it short."""
    task = asyncio.get_running_loop().create_task(ending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=_CUT_SHORT_S)
        raise


def _core(app: object) -> object:
    return app.server if isinstance(app, HasServer) else None


def _limits(app: ASGIApp) -> Limits:
    """Return the limits of an app of `create_app`; the default ones for any other."""
    core = _core(app)
    return core.limits if isinstance(core, HasLimits) else Limits()


def _config(app: ASGIApp, options: ServeOptions) -> WorkerConfig:
    config = WorkerConfig()
    # Above the app's own limit: a message a little too large is answered PAYLOAD_TOO_LARGE, and the
    # session lives; Hypercorn would close the connection.
    config.websocket_max_message_size = _limits(app).max_message_bytes + _MESSAGE_MARGIN
    config.websocket_ping_interval = options.ping_interval_s
    config.silence_s = options.silence_s
    config.keep_alive_timeout = options.keep_alive_s
    config.keep_alive_max_requests = sys.maxsize  # a trainer over plain HTTP sends millions on one connection
    config.max_app_queue_size = _MOST_UNREAD
    config.backlog = BACKLOG
    config.include_server_header = False
    config.accesslog = options.access_log if isinstance(options.access_log, logging.Logger) else None
    if options.access_log is True:
        config.accesslog = "-"
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _LeavingExecutor(ThreadPoolExecutor):
    """The loop's pool for `to_thread`; its shutdown does not wait for an environment's call that hangs."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)


@contextlib.contextmanager
def _handling(kinds: Sequence[signal.Signals], on_first: Callable[[int], object]) -> Iterator[None]:
    """Call `on_first` with the number of the first signal; then restore the default handlers, which end the process.

    These are not the loop's own signal handlers, which wait for the loop to run: code
    of an environment may be blocking it when the user wants to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(signum: int, _frame: FrameType | None) -> None:
        for kind in kinds:
            signal.signal(kind, signal.SIG_DFL)
        on_first(signum)

    previous = {kind: signal.signal(kind, first) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)


def _announce(urls: list[str]) -> None:
    sys.stderr.write(f"Listening on {', '.join(urls)}\n")
    sys.stderr.flush()
