"""`agentctl import`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.state.import_ import Imported
    from agentctl.runtime import Runtime


@click.command("import")
@click.argument("directory", required=False, type=click.Path())
@click.option("--dry-run", is_flag=True, help="Only say what would be taken.")
@json_option
@pass_runtime
def command(runtime: Runtime, directory: str | None, dry_run: bool, as_json: bool) -> None:
    """Take over what the TypeScript agentctl kept.

    DIRECTORY is where it had its state.json, locks.json, fuses.json and config.json; without
    it ~/.agentctl. Sessions come as ended ones, locks of people and future fuses of
    directories as they are, and settings where none is set here. Nothing there is changed,
    no process is touched, and a second import takes nothing twice. Stop the old daemon first.

    \b
    Examples:
      agentctl import --dry-run
      agentctl import
      agentctl import /backup/agentctl --json

    \b
    Exit status:
      0   done; what was left is named with its reason
      1   a file is not what it should be: nothing was imported
      10  no such files
      13  the state cannot be written
    """
    from agentctl.ops.state.import_ import import_from

    runtime.actor = "import"
    imported = import_from(runtime, directory, dry_run=dry_run)
    if as_json:
        click.echo(_document(imported, dry_run=dry_run))
    else:
        _tell(runtime, imported, dry_run=dry_run)
    for note in (*imported.notes, *runtime.notices):
        _show.note(note)


def _document(imported: Imported, *, dry_run: bool) -> str:
    from agentctl.documents import document

    return document(
        dry_run=dry_run,
        directory=imported.directory,
        taken=[
            {"kind": item.kind, "name": item.name, "id": item.id, "detail": item.detail}
            for item in imported.taken
        ],
        left=[{"kind": item.kind, "name": item.name, "reason": item.detail} for item in imported.left],
    )


def _tell(runtime: Runtime, imported: Imported, *, dry_run: bool) -> None:
    from agentctl.render import table, tilde

    home = _show.home(runtime)
    rows = [
        (item.kind, tilde(item.name, home), word, item.detail)
        for word, items in (("taken", imported.taken), ("left", imported.left))
        for item in items
    ]
    if rows:
        click.echo(table(("WHAT", "NAME", "DONE", "DETAIL"), rows, color=_show.uses_color(runtime)))
    verb = "would be taken" if dry_run else "taken"
    _show.note(f"{len(imported.taken)} {verb} from {imported.directory}, {len(imported.left)} left")
