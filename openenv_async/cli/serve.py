"""`openenv serve`: runs one environment's server until it is told to stop.

Owns the options and the order: find the target, bind the address, leave the
options for `create_app`, import the app, serve. `cli.targets` finds and loads,
`server.runner` serves, `cli.reload` restarts on changes, `cli.shutdown_watchdog` bounds
the end, `cli.banner` writes what the user sees.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.compat import apply_compat, compat_option
from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.progress import is_quiet, say
from openenv_async.cli.record_options import record_options
from openenv_async.cli.serve_request import ServeRequest
from openenv_async.cli.telemetry_options import access_log, check_otel, log_to_stderr, observing_options

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

    from openenv_async.cli.reload import Supervised
    from openenv_async.cli.targets import Target
    from openenv_async.server.sockets import Listeners


_EXAMPLES = """\b
Examples:
  openenv serve
  openenv serve my_env --reload
  openenv serve my_package.env:MyEnvironment --port 0
  openenv serve "gym:CartPole-v1?render_mode=rgb_array" --host 0.0.0.0 --token SECRET
"""


@click.command(short_help="Serve an environment over the network.", epilog=_EXAMPLES)
@click.argument("target", default=".", metavar="[PATH | MODULE:APP | gym:ENV_ID]")
@click.option(
    "--host", metavar="HOST", help="Name or address to listen on. [default: 127.0.0.1; 0.0.0.0 lets others in]"
)
@click.option("--port", type=click.IntRange(0, 65535), help="0 picks a free one. [default: the manifest's, else 8000]")
@click.option("--unix", type=click.Path(path_type=Path), help="Listen on a unix socket instead.")
@click.option("--reload", is_flag=True, help="Restart when a file of the environment changes.")
@click.option("--max-sessions", type=click.IntRange(min=1), help="Environments alive at once. [default: the app's own]")
@click.option(
    "--execution",
    type=click.Choice(["inline", "thread", "process"]),
    envvar="OPENENV_EXECUTION",
    show_envvar=True,
    help="Where a session's code runs: on the event loop, in a thread or a process of its own. [default: the app's]",
)
@click.option(
    "--step-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    envvar="OPENENV_STEP_TIMEOUT",
    show_envvar=True,
    help="Time for a reset or step where neither the call nor the environment's class says. [default: the app's]",
)
@click.option(
    "--sessions-per-process",
    type=click.IntRange(min=1),
    envvar="OPENENV_SESSIONS_PER_PROCESS",
    show_envvar=True,
    help="With --execution process: sessions that share one. [default: the app's own, 1]",
)
@click.option(
    "--spare-processes",
    type=click.IntRange(min=0),
    envvar="OPENENV_SPARE_PROCESSES",
    show_envvar=True,
    help="With --execution process: processes kept ready. [default: the app's own, 2]",
)
@click.option(
    "--token",
    envvar="OPENENV_TOKEN",
    show_envvar=True,
    help="Clients must present it. The variable keeps it out of the list of processes.",
)
@click.option(
    "--allow-origin", multiple=True, metavar="ORIGIN", help="A web origin whose pages may connect. Repeatable."
)
@click.option(
    "--certfile",
    type=click.Path(path_type=Path),
    help="Serve TLS (https, wss) with this certificate chain: PEM, the key in it or in --keyfile.",
)
@click.option(
    "--keyfile", type=click.Path(path_type=Path), help="The certificate's private key: PEM, without a password."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What is written to stderr; debug adds a line for every request. "
    "[default: info, without the lines of sessions where all is well, unless as JSON]",
)
@observing_options
@record_options
@click.option(
    "--interface/--no-interface",
    default=None,
    help="A web page at /web, to play by hand. [default: the app's own, or ENABLE_WEB_INTERFACE; else off]",
)
@click.option("--debug", is_flag=True, help="Show tracebacks, to clients too.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time for calls in flight when the server stops, on SIGTERM for episodes too. [default: the app's own, 10]",
)
@compat_option
@click.option("--supervised", hidden=True, help="Set by --reload for the process that it restarts.")
def serve(**options: Any) -> None:
    """Serve an environment over the network, until Ctrl-C or SIGTERM.

    PATH is the folder of an environment, with its openenv.yaml (by default the
    current folder), or a .py file. MODULE:APP names an ASGI app, a factory of
    one, or an Environment class. gym:ENV_ID serves any Gymnasium environment.
    """
    request = ServeRequest(**options)
    request.check()
    check_otel(request.otel)
    # The overrides carry it from here on. Programs that an environment starts inherit the variables, and an
    # agent's code may be among them.
    os.environ.pop("OPENENV_TOKEN", None)
    try:
        _serve(request)
    except KeyboardInterrupt:
        click.echo("Stopped before it was ready.", err=True)


def _serve(request: ServeRequest) -> None:
    from openenv_async.cli.targets import locate

    tls = _certificate(request)
    apply_compat(request.compat)
    target = locate(request.target)
    if request.supervised is not None:
        from openenv_async.cli.reload import Supervised

        child = Supervised.parse(request.supervised)
        with child.take_over(request) as listeners:
            _run(request, target, listeners, child, tls)
        return
    with _bind(request, target) as listeners:
        if request.reload:
            from openenv_async.cli.reload import supervise

            supervise(request, target, listeners)
        else:
            _run(request, target, listeners, None, tls)


def _bind(request: ServeRequest, target: Target) -> Listeners:
    from openenv_async.server.sockets import DEFAULT_HOST, Bind, BindFailed, Listeners

    port = target.port if request.port is None else request.port
    where: Bind = request.unix if request.unix is not None else (request.host or DEFAULT_HOST, port)
    try:
        # Before the import, which may take long: a taken port is told at once.
        return Listeners.bind(where)
    except BindFailed as error:
        raise CommandFailed(str(error)) from error


def _certificate(request: ServeRequest) -> ssl.SSLContext | None:
    if request.certfile is None:
        return None
    from openenv_async.server.tls import CertificateUnusable, server_context

    try:
        return server_context(request.certfile, request.keyfile)
    except CertificateUnusable as error:
        raise CommandFailed(str(error)) from error


def _run(
    request: ServeRequest,
    target: Target,
    listeners: Listeners,
    child: Supervised | None,
    tls: ssl.SSLContext | None,
) -> None:
    from openenv_async.cli.banner import announce, token_warning
    from openenv_async.cli.shutdown_watchdog import BoundedEnd
    from openenv_async.limits import Limits
    from openenv_async.server.lifespan import AppStartFailed
    from openenv_async.server.runner import ServeOptions, serve_app

    log_to_stderr(request.log_level, request.log_format)
    app = _load(request, target)
    core = getattr(app, "server", None)
    settings = getattr(core, "settings", None)
    has_token = bool(getattr(settings, "token", None))
    page = bool(getattr(getattr(core, "page", None), "on", False))
    idle = request.for_create_app if settings is None else []
    if idle:
        click.echo(f"Warning: {target.name} is no app of create_app, so nothing enforces {', '.join(idle)}.", err=True)
    if any(given is not None for given in (request.sessions_per_process, request.spare_processes)):
        if settings is not None and getattr(core, "processes", None) is None:
            click.echo("Warning: --sessions-per-process and --spare-processes need --execution process.", err=True)
    limits = getattr(core, "limits", None)
    limits = limits if isinstance(limits, Limits) else Limits()
    grace_s = limits.grace_s if request.grace is None else request.grace
    # Whatever the runner waits for, and as much again for what it has no bound over.
    bound_s = 2 * (grace_s + limits.close_timeout_s) + 15
    notice = f"Stopping: calls in flight have {grace_s:g} s. A second signal ends it at once."

    def ready(urls: list[str]) -> None:
        if child is not None and child.generation > 0:
            click.echo(f"Serving the changed {target.name} on {', '.join(urls)}")
            return
        said = announce(target.name, urls, has_token=has_token, reload=child is not None, page=page)
        click.echo(said.partition("\n")[0] if is_quiet() else said)
        if settings is not None and settings.record is not None:
            say(f"Every session is recorded in {settings.record.folder}.")
        if listeners.public and not has_token:
            click.echo(token_warning(urls), err=True)

    # Ctrl-C reaches every process of the terminal; a supervisor decides what it means.
    signals = [signal.SIGINT, signal.SIGTERM] if child is None else [signal.SIGTERM]
    options = ServeOptions(
        grace_s=request.grace,
        handover=child is not None,
        access_log=access_log(request.log_level, request.log_format),
        tls=tls,
    )
    with BoundedEnd(bound_s, notice if child is None else None) as end:
        try:
            serve_app(app, listeners=listeners, options=options, ready=ready, signals=signals, on_signal=end.begin)
        except AppStartFailed as error:
            raise CommandFailed(str(error)) from error
    if child is None:
        click.echo("Stopped.")


def _load(request: ServeRequest, target: Target) -> ASGIApp:
    from openenv_async.server import settings

    settings.override(
        settings.Overrides(
            max_sessions=request.max_sessions,
            execution=request.execution,
            token=request.token,
            allow_origins=request.allow_origin or None,
            debug=request.debug or None,
            step_timeout_s=request.step_timeout,
            sessions_per_process=request.sessions_per_process,
            spare_processes=request.spare_processes,
            metrics=request.metrics,
            otel=request.otel,
            record=request.record,
            record_redact=request.record_redact or None,
            record_file_mb=request.record_file_mb,
            record_total_mb=request.record_total_mb,
            interface=request.interface,
        )
    )
    try:
        return target.load()
    except CommandFailed as error:
        if request.debug and error.__cause__ is not None:
            import traceback

            click.echo("".join(traceback.format_exception(error.__cause__)), err=True)
        raise
