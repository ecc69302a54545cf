"""`agentctl unlock`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import LOCKED_DIRECTORY, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.directories.locks import Unlocked
    from agentctl.runtime import Runtime


@click.command("unlock")
@click.argument("directory", metavar="DIR", type=LOCKED_DIRECTORY)
@click.option("--force", is_flag=True, help="Free it even if a live session holds it; the session continues.")
@json_option
@pass_runtime
def command(runtime: Runtime, directory: str, force: bool, as_json: bool) -> None:
    """Release a reserved directory.

    Removes the lock of any person, and that of a session that was given up as lost. The
    directory itself may be gone. The lock of a live session is removed when the
    session ends, or now with --force; that does not stop the session.

    \b
    Examples:
      agentctl unlock .
      agentctl unlock --force ~/src/site

    \b
    Exit status:
      0   freed
      10  nobody holds it
      11  a live session holds it; the message says which
    """
    from agentctl.ops.directories.locks import unlock

    unlocked = unlock(runtime, directory, force=force)
    _show.answer(unlocked, as_json=as_json, document=_fields, text=_tell)


def _fields(unlocked: Unlocked) -> Mapping[str, object]:
    return {"released": _show.lock_fields(unlocked.freed), "left": _show.lock_fields(unlocked.left)}


def _tell(unlocked: Unlocked) -> None:
    for lock in unlocked.freed:
        who = f"session {lock.holder}" if lock.session_id else lock.holder
        _show.note(f"{lock.directory} is no longer held by {who}")
    for lock in unlocked.left:
        _show.note(f"session {lock.holder} still works in {lock.directory}")
