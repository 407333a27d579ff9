"""`openenv serve`: runs one environment's server until it is stopped.

Finds the target, puts the settings together (`cli.serve_settings`), binds the address, imports the app and serves.
`cli.targets` finds and loads, `server.runner` serves, `cli.reload` restarts on changes, `cli.shutdown_watchdog`
bounds the shutdown.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.compat import apply_compat
from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.progress import is_quiet, say
from openenv_async.cli.serve_settings import ServeRequest, gather, serve_options, settings_lines

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

    from openenv_async.cli.reload import Supervised
    from openenv_async.cli.targets import ServeTarget
    from openenv_async.server.server import Server
    from openenv_async.server.sockets import Listeners


_EXAMPLES = """\b
Examples:
  openenv serve
  openenv serve my_env --reload
  openenv serve my_package.env:MyEnvironment --port 0
  openenv serve "gym:CartPole-v1?render_mode=rgb_array" --host 0.0.0.0 --token SECRET
  openenv serve my_env --show-settings
"""


@click.command(short_help="Serve an environment over the network.", epilog=_EXAMPLES)
@click.argument("target", default=".", metavar="[PATH | MODULE:APP | gym:ENV_ID]")
@serve_options
@click.option(
    "--show-settings", is_flag=True, help="Print every setting with its value and where it comes from, and exit."
)
@click.option("--supervised", hidden=True, help="Set by --reload for the process that it restarts.")
def serve(target: str, show_settings: bool, **options: Any) -> None:
    """Serve an environment over the network, until Ctrl-C or SIGTERM.

    PATH is the folder of an environment, with its openenv.yaml (by default the
    current folder), or a .py file. MODULE:APP names an ASGI app, a factory of
    one, or an Environment class. gym:ENV_ID serves any Gymnasium environment.

    An option counts over its environment variable, and that over the table
    [tool.openenv] of the environment's pyproject.toml, whose keys are the
    options' names: max-sessions = 64.
    """
    try:
        _serve(target, options, show_settings)
    except KeyboardInterrupt:
        click.echo("Stopped before it was ready.", err=True)


def _serve(name: str, options: dict[str, Any], show_settings: bool) -> None:
    from openenv_async.cli.targets import locate

    target = locate(name)
    request = gather(name, target.folder, options)
    # The overrides carry it from here on. Programs that an environment starts inherit the variables and can read
    # this process's first ones in /proc, and an agent's code may be among them.
    os.environ.pop("OPENENV_TOKEN", None)
    if token := request.asked("token"):
        from openenv_async.server.proc_secrets import hide_secret

        hide_secret(token)
    tls = _certificate(request)
    apply_compat(request.value("compat"))
    if show_settings:
        _show_settings(request, target)
    elif request.supervised is not None:
        from openenv_async.cli.reload import Supervised

        child = Supervised.parse(request.supervised)
        with child.take_over(request) as listeners:
            _run(request, target, listeners, child, tls)
    else:
        _listen(request, target, tls)


def _show_settings(request: ServeRequest, target: ServeTarget) -> None:
    from openenv_async.conformance.project.manifest import DEFAULT_PORT, FILE_NAME
    from openenv_async.server.options import DEFAULT, Given

    server = _server_of(_load(request, target))
    if server is None:
        click.echo(f"Warning: {target.name} is not an app of create_app; it ignores most of these.", err=True)
    app = {} if server is None else server.settings.given
    port = Given(target.port, DEFAULT if target.port == DEFAULT_PORT else FILE_NAME)
    click.echo("\n".join(settings_lines({"port": port, **request.given, **app})))


def _listen(request: ServeRequest, target: ServeTarget, tls: ssl.SSLContext | None) -> None:
    from openenv_async.server.sockets import Bind, BindFailed, Listeners

    port, unix = request.asked("port"), request.asked("unix")
    where: Bind = unix if unix is not None else (request.value("host"), target.port if port is None else port)
    try:
        # Before the import, which may take long: a taken port is reported at once.
        bound = Listeners.bind(where)
    except BindFailed as error:
        raise CommandFailed(str(error)) from error
    with bound as listeners:
        if request.value("reload"):
            from openenv_async.cli.reload import supervise

            supervise(request, target, listeners)
        else:
            _run(request, target, listeners, None, tls)


def _certificate(request: ServeRequest) -> ssl.SSLContext | None:
    if request.asked("certfile") is None:
        return None
    from openenv_async.server.tls import CertificateUnusable, server_context

    try:
        return server_context(request.asked("certfile"), request.asked("keyfile"))
    except CertificateUnusable as error:
        raise CommandFailed(str(error)) from error


def _run(
    request: ServeRequest,
    target: ServeTarget,
    listeners: Listeners,
    child: Supervised | None,
    tls: ssl.SSLContext | None,
) -> None:
    from openenv_async.cli.shutdown_watchdog import BoundedEnd
    from openenv_async.limits import Limits
    from openenv_async.server.lifespan import AppStartFailed
    from openenv_async.server.runner import ServeOptions, serve_app

    _log_to_stderr(request)
    app = _load(request, target)
    server = _server_of(app)
    has_token = server is not None and bool(server.settings.token)
    page = server is not None and server.page.on
    _warn_of_unused(request, target, server)
    limits = Limits() if server is None else server.limits
    grace_s = limits.grace_s if request.asked("grace") is None else request.asked("grace")
    # The bound of the runner, and as much again for what the runner does not bound.
    bound_s = 2 * (grace_s + limits.close_timeout_s) + 15
    notice = f"Stopping: calls in flight have {grace_s:g} s. A second signal ends it at once."

    def ready(urls: list[str]) -> None:
        if child is not None and child.generation > 0:
            click.echo(f"Serving the changed {target.name} on {', '.join(urls)}")
            return
        said = _announce(target.name, urls, has_token=has_token, reload=child is not None, page=page)
        click.echo(said.partition("\n")[0] if is_quiet() else said)
        if server is not None and server.settings.record is not None:
            say(f"Every session is recorded in {server.settings.record.folder}.")
        if listeners.public and not has_token:
            click.echo(_token_warning(urls), err=True)

    # Ctrl-C reaches every process of the terminal; a supervisor decides what it means.
    signals = [signal.SIGINT, signal.SIGTERM] if child is None else [signal.SIGTERM]
    options = ServeOptions(grace_s=grace_s, handover=child is not None, access_log=_access_log(request), tls=tls)
    with BoundedEnd(bound_s, notice if child is None else None) as end:
        try:
            serve_app(app, listeners=listeners, options=options, ready=ready, signals=signals, on_signal=end.begin)
        except AppStartFailed as error:
            raise CommandFailed(str(error)) from error
    if child is None:
        click.echo("Stopped.")


def _load(request: ServeRequest, target: ServeTarget) -> ASGIApp:
    from openenv_async.server import settings

    settings.override(request.given)
    try:
        return target.load()
    except CommandFailed as error:
        if request.value("debug") and error.__cause__ is not None:
            import traceback

            click.echo("".join(traceback.format_exception(error.__cause__)), err=True)
        raise


def _server_of(app: ASGIApp) -> Server | None:
    """Return the server behind an app of `create_app`; None for another ASGI app."""
    from openenv_async.server.server import Server

    server = getattr(app, "server", None)
    return server if isinstance(server, Server) else None


def _warn_of_unused(request: ServeRequest, target: ServeTarget, server: Server | None) -> None:
    if server is None:
        if request.for_create_app:
            idle = ", ".join(request.for_create_app)
            click.echo(f"Warning: {target.name} is not an app of create_app, so nothing enforces {idle}.", err=True)
    elif server.processes is None:
        if "sessions_per_process" in request.given or "spare_processes" in request.given:
            click.echo("Warning: --sessions-per-process and --spare-processes need --execution process.", err=True)


def _access_log(request: ServeRequest) -> bool | logging.Logger:
    """Return where requests are logged: nowhere, on stdout as Hypercorn does, or with the other JSON lines."""
    if request.asked("log_level") != "debug":
        return False
    return logging.getLogger("openenv_async.access") if request.value("log_format") == "json" else True


def _log_to_stderr(request: ServeRequest) -> None:
    """Write the log to stderr, without secrets, and with the ids of sessions and requests.

    Without a level it is INFO, but as text nothing of sessions where all is well: a parent process that never reads
    its server's stderr would otherwise make it stop in the middle of a line, once the pipe is full.
    """
    from openenv_async.observe.log_formatters import JsonLines, TextLines
    from openenv_async.observe.session_log import logger as sessions
    from openenv_async.server.log_filter import FILTER, protect

    level, as_json = request.asked("log_level"), request.value("log_format") == "json"
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(FILTER.clean_field) if as_json else TextLines())
    logging.basicConfig(level=(level or "info").upper(), handlers=[handler])
    if level is None and not as_json:
        sessions.setLevel(logging.WARNING)
    protect(handlers=True)


def _announce(name: str, urls: list[str], *, has_token: bool, reload: bool, page: bool = False) -> str:
    """Return where the server listens, with a snippet for each kind of client.

    Args:
        name: the environment's name.
        urls: the server's addresses.
        has_token: whether clients need one.
        reload: whether it restarts on changes.
        page: whether there is a web page.
    """
    url = _reachable(urls[0])
    token = ', token="..."' if has_token else ""
    lines = [
        f"Serving {name} on {', '.join(urls)}{' (restarts on changes)' if reload else ''}. Ctrl-C stops it.",
        "",
        "Connect from Python:",
        "    from openenv_sync import SyncEnv",
        f'    with SyncEnv(base_url="{url}"{token}) as env: print(env.reset())',
        "or from asyncio code:",
        "    from openenv_async import AsyncEnv",
        f'    async with AsyncEnv(base_url="{url}"{token}) as env: print(await env.reset())',
    ]
    if page and url.startswith("http"):
        lines[1:1] = [f"Play by hand in a browser: {url}/web/"]
    if has_token:
        lines.append("Clients must present the token.")
    return "\n".join(lines)


def _token_warning(urls: list[str]) -> str:
    """Return the warning for a server that other machines can reach without a token."""
    return (
        f"Warning: everybody who can reach {', '.join(urls)} can run this environment's code and take its sessions. "
        "Set a token (--token or OPENENV_TOKEN), or listen on 127.0.0.1."
    )


def _reachable(url: str) -> str:
    """Replace a wildcard address, to which clients cannot connect, by the loopback address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
