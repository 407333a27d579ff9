"""Output of `openenv replay`: the recording, and the result of playing it again."""

from __future__ import annotations

import datetime
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from openenv_async.cli.progress import is_terminal
from openenv_async.recording.values import to_json

if TYPE_CHECKING:
    from openenv_async.cli.replaying import Replayed
    from openenv_async.recording.reading import RecordedCall, RecordedEpisode, Recording

_PLAIN_WIDTH = 160
"""Characters of a line where the output is not a terminal."""

_HEAD = f"  {'':>5} {'call':<6} {'ms':>9} {'reward':>9} {'done':<5} "


def show_recording(recording: Recording) -> None:
    """Print every episode as a table, a call in each row."""
    session = recording.session
    began = _moment(session.get("started_at"))
    click.echo(
        f"Session {session.get('session_id')} of {session.get('environment')}, {session.get('wire')} wire{began}"
    )
    for episode in recording.episodes:
        _episode(episode)
    calls = sum(len(episode.calls) for episode in recording.episodes)
    end = recording.end or {}
    why = f", ended: {_one_line(end.get('reason'))}" if end else ""
    click.echo(f"\n{_counted(len(recording.episodes), 'episode')}, {_counted(calls, 'call')}{why}.")
    for note in recording.notes:
        click.echo(f"Note: {_one_line(note)}", err=True)


def _episode(episode: RecordedEpisode) -> None:
    rewards = [call.reward for call in episode.calls if type(call.reward) in (int, float)]
    total = f", reward {sum(rewards):g} in all" if rewards else ""
    click.echo(f"\nEpisode {episode.number}{total}")
    click.echo(f"{_HEAD}action -> observation")
    for number, call in enumerate(call for call in episode.calls):
        _row(number, call)
    if episode.missing:
        click.echo(f"  {'':>5} {_counted(episode.missing, 'call')} not recorded")


def _row(number: int, call: RecordedCall) -> None:
    latency = "" if call.latency_ms is None else f"{call.latency_ms:.2f}"
    done = "yes" if call.done is True else "trunc" if call.truncated is True else ""
    head = f"  {number:>5} {call.kind:<6} {latency:>9} {_reward(call.reward):>9} {done:<5} "
    room = max(20, _width() - len(head))
    request = "" if call.kind == "state" else _short(call.request if call.request is not None else {}, room // 2 - 2)
    if call.error is not None:
        text = f"{call.error.get('code')}: {_one_line(call.error.get('message'))}"
        came = click.style(text[: room - len(request) - 4], fg="red")
    else:
        value = call.state if call.kind == "state" else call.observation
        came = _short(value, room - len(request) - 4)
        if call.left_out:
            came = f"(too large to be recorded: {', '.join(call.left_out)})"
    click.echo(f"{head}{request}{' -> ' if request else ''}{came}")


def show_outcome(recording: Recording, done: Replayed) -> None:
    """Print whether all results were the same, or else the first difference."""
    for note in (*recording.notes, *done.notes):
        click.echo(f"Note: {_one_line(note)}", err=True)
    found = done.found
    if found is None:
        if done.calls:
            word = click.style("Same", fg="green", bold=True)
            click.echo(f"{word}: {_counted(done.calls, 'call')} of {_counted(done.episodes, 'whole episode')}.")
        return
    where = "the reset" if found.kind == "reset" else f"step {found.call}"
    word = click.style("Different", fg="red", bold=True)
    click.echo(f"{word}: episode {found.episode}, {where} (line {found.line} of {recording.path})")
    click.echo(f"  {found.difference.path}")
    click.echo(f"    recorded  {found.difference.one}")
    click.echo(f"    got       {found.difference.other}")
    click.echo(f"{_counted(done.calls - 1, 'call')} before it gave the same.")


def _width() -> int:
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _PLAIN_WIDTH


def _reward(value: Any) -> str:
    return "" if value is None else f"{value:g}" if type(value) in (int, float) else _short(value, 9)


def _short(value: Any, room: int) -> str:
    text = json.dumps(to_json(_plain(value)), ensure_ascii=True, default=repr)
    room = max(8, room)
    return text if len(text) <= room else f"{text[: room - 3]}..."


def _plain(value: Any) -> Any:
    """Shorten what is too large to be read in a row."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{value.dtype} {'x'.join(map(str, value.shape)) or 'scalar'}>"
    return value


def _moment(at: Any) -> str:
    if not isinstance(at, (int, float)):
        return ""
    return f", {datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _one_line(text: Any) -> str:
    # The file is not trusted, and a terminal executes control sequences.
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
