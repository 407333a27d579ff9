"""`openenv validate`: one run from its target, a folder or a running server, to its report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from openenv_async.conformance.findings import CheckOutcome, FileFindings, Level, ValidationReport
from openenv_async.conformance.project.code import STAGES, CodeDescription, check_code, describe
from openenv_async.conformance.project.lock import check_lock
from openenv_async.conformance.project.manifest import Manifest
from openenv_async.conformance.project.modes import modes
from openenv_async.conformance.project.served import call_timeout_s, check_container, check_process
from openenv_async.conformance.project.static import check_texts
from openenv_async.conformance.runner import Listener, OnBegin, Runner
from openenv_async.conformance.server.checks import NAMES, check_running
from openenv_async.conformance.target import ServerTarget, require_server

IMPORT_TIMEOUT_S = 60.0
"""Seconds for the import of the environment's code, and as many for its lock file."""

BuildImage = Callable[[Path], Awaitable[str]]
"""Builds the image of a folder and returns its name; raises `EnvError`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidateOptions:
    """How far a validation goes."""

    level: Level = "runtime"
    timeout_s: float = 120.0
    """Seconds for everything; what was started is ended after it all the same."""

    token: str | None = field(default=None, repr=False)
    """Of the server at a URL."""

    build: BuildImage | None = None
    """Builds images, for the level `full`."""

    listener: Listener | None = None
    on_begin: OnBegin | None = None


async def validate_folder(folder: Path, options: ValidateOptions) -> ValidationReport:
    """Check an environment's folder.

    Raises:
        NotAnEnvironment: it has no `openenv.yaml`.
        CancelledError: whatever was started is ended.
    """
    began = time.monotonic()
    report = ValidationReport(target=str(folder), kind="folder", level=options.level)
    runner = Runner(report, options.timeout_s, listener=options.listener, on_begin=options.on_begin)
    runner.level = "static"
    findings, manifest = check_texts(folder)
    runner.add(findings)
    description = await _check_code(folder, runner)
    if options.level != "static":
        await _check_served(folder, description, runner, options)
    if options.level == "full":
        await _check_image(manifest, runner, options)
    report.modes = modes(manifest, report.findings)
    report.complete, report.duration_s = True, time.monotonic() - began
    return report


async def validate_url(url: str, options: ValidateOptions) -> ValidationReport:
    """Check a running server, of this runtime or of OpenEnv's.

    Raises:
        NotAnEnvironment: nothing answers there, or something else does.
        CancelledError: every session is closed.
    """
    began = time.monotonic()
    report = ValidationReport(target=url, kind="server", level=options.level)
    runner = Runner(report, options.timeout_s, listener=options.listener, on_begin=options.on_begin)
    target = ServerTarget(url=url, token=options.token, call_timeout_s=call_timeout_s(options.timeout_s))
    await require_server(target)
    runner.level = "static"
    runner.skip(["files"], "a running server has no files to check: give the folder for these checks")
    if options.level == "static":
        runner.skip(["server"], "level static asks a server nothing: --level runtime plays it")
    else:
        runner.level = "runtime"
        await check_running(target, runner)
    if options.level == "full":
        runner.level = "full"
        runner.skip(["image"], "a running server is not built again: give the folder for that")
    report.complete, report.duration_s = True, time.monotonic() - began
    return report


async def _check_code(folder: Path, runner: Runner) -> CodeDescription | None:
    """Import the code in a child process, and check the lock file with uv."""
    description = None
    bad = ("manifest", "files")
    if any(finding.result == "failed" and finding.name in bad for finding in runner.report.findings):
        for name in STAGES:
            runner.add(FileFindings(name).skipped("openenv.yaml does not lead to an app: see above"))
    else:
        try:
            async with asyncio.timeout(runner.left_s):
                description = await describe(folder, IMPORT_TIMEOUT_S)
            runner.add(check_code(folder, description))
        except TimeoutError:
            runner.out_of_time((*STAGES, "lock"))
            return None
    try:
        async with asyncio.timeout(runner.left_s):
            runner.add(await check_lock(folder, IMPORT_TIMEOUT_S))
    except TimeoutError:
        runner.out_of_time(["lock"])
    return description


async def _check_served(
    folder: Path, description: CodeDescription | None, runner: Runner, options: ValidateOptions
) -> None:
    runner.level = "runtime"
    app = description.stages.get("app") if description is not None else None
    if description is None or app is None or not app.ok:
        runner.skip(("start", *NAMES, "stop"), "there is no app to serve: see the checks above")
        return
    await check_process(folder, runner, description.max_sessions, options.timeout_s)


async def _check_image(manifest: Manifest, runner: Runner, options: ValidateOptions) -> None:
    runner.level = "full"
    names = ("start", *NAMES, "stop")
    needed = ("manifest", "files", "dockerfile")
    bad = [each for each in runner.report.findings if each.name in needed and each.result == "failed"]
    build = options.build
    if bad or build is None:
        why = f"nothing can be built: {bad[0].sentence}" if bad else "this caller passed nothing that builds images"
        runner.skip(("image", *names), why)
        return
    built: list[str] = []

    async def image() -> CheckOutcome:
        built.append(await build(manifest.folder))
        return CheckOutcome(f"the image was built: {built[0]}")

    if await runner.run("image", image):
        await check_container(built[0], manifest.port, runner, options.timeout_s)
    else:
        runner.skip(names, "it needs the image, which was not built")
