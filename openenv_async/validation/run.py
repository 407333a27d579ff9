"""One validation from its target to its report: a folder, or a running server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from openenv_async.validation.checks import Level, Report
from openenv_async.validation.describing import STAGES, Description
from openenv_async.validation.endpoints import require_server
from openenv_async.validation.manifest import ManifestFacts
from openenv_async.validation.modes import modes
from openenv_async.validation.recorder import Listener, Recorder, Said, skipped
from openenv_async.validation.runtime import NAMES, examine
from openenv_async.validation.servers import call_timeout_s, examine_container, examine_process
from openenv_async.validation.static import check_imports, check_texts
from openenv_async.validation.subject import Subject

BuildImage = Callable[[Path], Awaitable[str]]
"""Builds the image of a folder and gives its name; raises `EnvError`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How far a validation goes."""

    level: Level = "runtime"
    timeout_s: float = 120.0
    """Seconds for everything; what was started is ended after it all the same."""

    token: str | None = field(default=None, repr=False)
    """Of the server at a URL."""

    build: BuildImage | None = None
    """What builds images, for the level `full`."""

    listener: Listener = lambda check: None
    """Told each check when it is made."""

    begins: Callable[[str], object] = lambda name: None
    """Told the name of each check as it begins."""


async def validate_folder(folder: Path, options: Options) -> Report:
    """Judge an environment's folder.

    Raises:
        NotAnEnvironment: it has no `openenv.yaml`.
        CancelledError: whatever was started is ended.
    """
    began = time.monotonic()
    recorder = Recorder(options.listener, options.begins)
    checks, facts = check_texts(folder)
    for check in checks:
        recorder.note(check)
    try:
        async with asyncio.timeout(options.timeout_s):
            await _try_out(folder, facts, recorder, options)
    except TimeoutError:
        recorder.out_of_time(options.timeout_s)
    return Report(
        target=str(folder),
        kind="folder",
        level=options.level,
        checks=recorder.checks,
        modes=modes(folder, facts, recorder.checks),
        duration_s=time.monotonic() - began,
    )


async def validate_url(url: str, options: Options) -> Report:
    """Judge a running server, of this runtime or of OpenEnv's.

    Raises:
        NotAnEnvironment: nothing answers there, or something else does.
        CancelledError: every session is closed.
    """
    began = time.monotonic()
    recorder = Recorder(options.listener, options.begins)
    subject = Subject(url=url, token=options.token, call_timeout_s=call_timeout_s(options.timeout_s))
    await require_server(subject)
    recorder.say("files", skipped("a running server has no files to look at: give the folder for these checks"))
    try:
        async with asyncio.timeout(options.timeout_s):
            if options.level == "static":
                recorder.say("server", skipped("level static asks a server nothing: --level runtime plays it"))
            else:
                recorder.plan("runtime", NAMES)
                await examine(subject, recorder)
            if options.level == "full":
                recorder.plan("full", ())
                recorder.say("image", skipped("a running server is not built again: give the folder for that"))
    except TimeoutError:
        recorder.out_of_time(options.timeout_s)
    return Report(
        target=url,
        kind="server",
        level=options.level,
        checks=recorder.checks,
        duration_s=time.monotonic() - began,
    )


async def _try_out(folder: Path, facts: ManifestFacts, recorder: Recorder, options: Options) -> None:
    recorder.plan("static", (*STAGES, "lock"))
    description = await check_imports(folder, list(recorder.checks), recorder.note, options.timeout_s)
    recorder.pending = []
    if options.level == "static":
        return
    names = ("start", *NAMES, "stop")
    recorder.plan("runtime", names)
    if _serves(description):
        most = description.max_sessions if description is not None else None
        await examine_process(folder, recorder, most, options.timeout_s)
    else:
        _pass_over(recorder, names, "there is no app to serve: see the checks above")
    if options.level == "full":
        await _in_container(folder, facts, recorder, options)


async def _in_container(folder: Path, facts: ManifestFacts, recorder: Recorder, options: Options) -> None:
    names = ("image", "start", *NAMES, "stop")
    recorder.plan("full", names)
    bad = [c for c in recorder.checks if c.name in ("manifest", "files", "dockerfile") and c.result == "failed"]
    if bad:
        _pass_over(recorder, names, f"there is nothing to build: {bad[0].sentence}")
        return
    build = options.build
    if build is None:
        _pass_over(recorder, names, "this caller gave nothing that builds images")
        return
    built: list[str] = []

    async def image() -> Said:
        built.append(await build(folder))
        return Said(sentence=f"the image was built: {built[0]}")

    if await recorder.run("image", image):
        await examine_container(built[0], facts.port, recorder, options.timeout_s)
    else:
        _pass_over(recorder, names[1:], "it needs the image, which was not built")


def _serves(description: Description | None) -> bool:
    stage = description.stages.get("app") if description is not None else None
    return stage is not None and stage.ok


def _pass_over(recorder: Recorder, names: tuple[str, ...], why: str) -> None:
    recorder.pending = []
    for name in names:
        recorder.say(name, skipped(why))
