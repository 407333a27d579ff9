"""`openenv replay`: shows a recorded session, or plays it again on a server.

Declares the options, the exit code and the JSON. `recording.reading` reads the file, `cli.replaying` plays it,
`cli.replay_report` shows it.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.errors import BadInput
from openenv_async.cli.progress import Progress, quiet_option

if TYPE_CHECKING:
    from openenv_async.cli.replaying import Replayed
    from openenv_async.recording.reading import Recording


_EXAMPLES = """\b
Examples:
  openenv replay recordings/20260101T120000-wordle-3f2a.jsonl
  openenv replay session.jsonl --against http://localhost:8000
  openenv replay session.jsonl --against http://localhost:8000 --ignore observation.time
"""


@click.command(short_help="Show a recorded session, or play it again.", epilog=_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--against", metavar="URL", help="Play it on this server, and show the first difference.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATH",
    help="What may differ: observation.time, observation.items[*].id, reward. `*` is anything. Repeatable.",
)
@click.option(
    "--wire",
    type=click.Choice(["native", "json"]),
    help="The wire to play it on. [default: the one it was recorded on, as JSON cannot carry every value]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For each call.",
)
@click.option("--token", envvar="OPENENV_TOKEN", show_envvar=True, help="Of the server.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON to stdout, and nothing else there.")
@quiet_option
def replay(
    file: Path,
    against: str | None,
    ignore: tuple[str, ...],
    wire: str | None,
    timeout: float,
    token: str | None,
    as_json: bool,
) -> None:
    """Show the session that `openenv serve --record` or the web page wrote into FILE.

    With --against, the same resets and actions are played on a server, and the
    first observation, reward or end that is another one is shown. Exit code: 0
    when all is the same, 1 when something differs, 2 when the file cannot be
    used or no server answers.
    """
    from openenv_async.recording.reading import UnusableRecording, read_recording

    try:
        recording = read_recording(file)
    except UnusableRecording as error:
        if as_json:
            _write({"file": str(file), "error": str(error)})
        raise BadInput(str(error)) from error
    if against is None:
        _show(recording, as_json)
        return
    if not any(episode.calls and episode.calls[0].kind == "reset" for episode in recording.episodes):
        raise BadInput(f"{file} has no reset, so there is nothing to play again")
    done = _play(recording, against, ignore, wire, timeout, token)
    if as_json:
        _write({"file": str(file), "against": against} | _as_json(recording, done))
    else:
        from openenv_async.cli.replay_report import show_outcome

        show_outcome(recording, done)
    if done.found is not None:
        raise click.exceptions.Exit(1)
    if not done.calls:
        raise BadInput(f"nothing of {file} could be played again: {'; '.join(done.notes)}")


def _play(
    recording: Recording, url: str, ignore: tuple[str, ...], wire: str | None, timeout_s: float, token: str | None
) -> Replayed:
    from openenv_async.cli.interrupts import run_bounded
    from openenv_async.cli.replaying import WIRES, replay, skipping
    from openenv_async.client import AsyncEnv
    from openenv_async.errors import EnvError

    total = sum(call.kind != "state" for episode in recording.episodes for call in episode.calls)
    # What is not in the file cannot be compared.
    unknown = [pattern for field in recording.redacted for pattern in (field, f"*.{field}")]
    # The web page, which speaks JSON, does not say so.
    chosen = WIRES.get(wire or str(recording.session.get("wire")), "json")
    with Progress(sys.stderr) as progress, warnings.catch_warnings():
        # Of the environment, which it gave while it was recorded too.
        warnings.simplefilter("ignore")
        try:
            env: AsyncEnv[Any, Any, Any] = AsyncEnv(url, wire=chosen, token=token, message_timeout_s=timeout_s)
            return run_bounded(
                lambda: replay(
                    recording,
                    env,
                    skipping((*ignore, *unknown)),
                    lambda calls: progress.doing(f"Playing {recording.path.name}", f"{calls} of {total} calls"),
                    timeout_s,
                )
            )
        except (EnvError, ValueError) as error:
            raise BadInput(f"{recording.path} could not be played on {url}: {error}") from error


def _show(recording: Recording, as_json: bool) -> None:
    if as_json:
        _write({"file": str(recording.path)} | _as_json(recording, None))
        return
    from openenv_async.cli.replay_report import show_recording

    show_recording(recording)


def _as_json(recording: Recording, done: Replayed | None) -> dict[str, Any]:
    from openenv_async.recording.values import to_json

    if done is None:
        episodes = [
            {
                "episode": episode.number,
                "missing": episode.missing,
                "calls": [
                    {
                        "line": call.line,
                        "kind": call.kind,
                        "latency_ms": call.latency_ms,
                        "reward": to_json(call.reward),
                    }
                    | {"done": to_json(call.done), "error": call.error}
                    for call in episode.calls
                ],
            }
            for episode in recording.episodes
        ]
        return {"session": recording.session, "end": recording.end, "notes": recording.notes, "episodes": episodes}
    found = done.found
    difference = None
    if found is not None:
        difference = {
            "episode": found.episode,
            "call": found.call,
            "kind": found.kind,
            "line": found.line,
            "path": found.difference.path,
            "recorded": found.difference.one,
            "got": found.difference.other,
        }
    return {
        "same": found is None and done.calls > 0,
        "calls": done.calls,
        "episodes": done.episodes,
        "difference": difference,
        "notes": [*recording.notes, *done.notes],
    }


def _write(report: dict[str, Any]) -> None:
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))
