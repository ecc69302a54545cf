"""`agentctl import`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.state.import_ import Imported
    from agentctl.runtime import Runtime


@click.command("import")
@click.argument("directory", required=False, type=click.Path())
@click.option("--dry-run", is_flag=True, help="Only show what would be imported.")
@json_option
@pass_runtime
def command(runtime: Runtime, directory: str | None, dry_run: bool, as_json: bool) -> None:
    """Import from the TypeScript agentctl.

    DIRECTORY contains its state.json, locks.json, fuses.json and config.json; the default is
    ~/.agentctl. Sessions are imported as ended sessions, locks of people and future fuses of
    directories unchanged, and settings only if they are not set here. The old files are not
    changed, no process is touched, and importing again duplicates nothing. Stop the old daemon
    first.

    \b
    Examples:
      agentctl import --dry-run
      agentctl import
      agentctl import /backup/agentctl --json

    \b
    Exit status:
      0   done; whatever was not imported is listed with the reason
      1   a file is invalid: nothing was imported
      10  no such files
      13  the state cannot be written
    """
    from agentctl.ops.state.import_ import import_from

    imported = import_from(runtime, directory, dry_run=dry_run)
    _show.answer(
        imported,
        as_json=as_json,
        document=partial(_fields, dry_run=dry_run),
        text=partial(_text, runtime, dry_run=dry_run),
    )
    for note in imported.notes:
        _show.note(note)


def _fields(imported: Imported, *, dry_run: bool) -> Mapping[str, object]:
    return {
        "dry_run": dry_run,
        "directory": imported.directory,
        "taken": [
            {"kind": item.kind, "name": item.name, "id": item.id, "detail": item.detail}
            for item in imported.taken
        ],
        "left": [{"kind": item.kind, "name": item.name, "reason": item.detail} for item in imported.left],
    }


def _text(runtime: Runtime, imported: Imported, *, dry_run: bool) -> str:
    from agentctl.render import table, tilde

    home = _show.home(runtime)
    rows = [
        (item.kind, tilde(item.name, home), word, item.detail)
        for word, items in (("taken", imported.taken), ("left", imported.left))
        for item in items
    ]
    verb = "would be taken" if dry_run else "taken"
    _show.note(f"{len(imported.taken)} {verb} from {imported.directory}, {len(imported.left)} left")
    return table(("WHAT", "NAME", "DONE", "DETAIL"), rows, color=_show.uses_color(runtime))
