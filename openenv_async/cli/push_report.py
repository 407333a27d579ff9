"""Report of `openenv push`: the plan of a dry run, or the result. Shows names of secrets, never values."""

from __future__ import annotations

import click

from openenv_async.hub.publishing import Changes, Published, SpaceSettings, counted, readable
from openenv_async.hub.space_files import Contents, Piece


def report_plan(name: str, contents: Contents, changes: Changes | None, settings: SpaceSettings, state: str) -> None:
    """List what would be sent to a Space, with sizes.

    Args:
        name: the Space's name.
        contents: all its files.
        changes: the files that differ from the Space's; `None` if it does not exist or could not be compared.
        settings: its other settings; only the names of secrets are shown.
        state: the state of the Space, in words.
    """
    known = changes if changes is not None else Changes(contents.pieces, {}, (), ())
    click.echo(f"{name}{' (private)' if settings.private else ''}, {state}:")
    width = max((len(readable(piece.size)) for piece in known.sent.values()), default=0)
    for path, piece in known.sent.items():
        mark = "new    " if path in known.new else "changed"
        click.echo(f"  {mark}  {readable(piece.size):>{width}}  {path}{_note(piece)}")
    for path in known.deleted:
        click.echo(f"  deleted{'':{width + 2}}  {path}")
    for what, keys in (("variables", settings.variables), ("secrets", settings.secrets)):
        if keys:
            click.echo(f"  {what}: {', '.join(keys)}")
    if settings.hardware:
        click.echo(f"  hardware: {settings.hardware}")
    unchanged = f"; {counted(len(known.unchanged), 'file')} there already" if known.unchanged else ""
    click.echo(f"Would send {counted(len(known.sent), 'file')}, {readable(known.size)}{unchanged}. Nothing was sent.")


def report_end(published: Published, *, proposed: bool) -> None:
    """Print what was done, and the address."""
    changes = published.changes
    if not changes:
        click.echo(f"{published.repo_id} has all {counted(len(changes.unchanged), 'file')} already; none was sent.")
    else:
        parts = [f"Sent {counted(len(changes.sent), 'file')} ({readable(changes.size)})"]
        parts += [f"{len(changes.unchanged)} unchanged"] if changes.unchanged else []
        parts += [f"{len(changes.deleted)} deleted"] if changes.deleted else []
        click.echo(", ".join(parts) + ".")
    if proposed and changes:
        click.echo(f"Proposed: {published.url}")
        return
    report_place(published.url, published.app_url, private=published.private)


def report_place(url: str, app_url: str | None, *, private: bool) -> None:
    """Print the address of a Space, and how to connect to it."""
    click.echo(f"Space: {url}")
    if app_url:
        token = ", token=YOUR_HF_TOKEN" if private else ""
        click.echo(f"Play it, when it is built: await AsyncEnv.connect({app_url!r}{token})")


def _note(piece: Piece) -> str:
    return f"  ({piece.note})" if piece.note else ""
