"""`agentctl prune`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import DURATION_OR_ZERO, json_option, pass_runtime, quiet_option
from agentctl.errors import PartlyDone

if TYPE_CHECKING:
    from agentctl.ops.state.prune import Pruned
    from agentctl.runtime import Runtime


@click.command("prune")
@click.option(
    "--older-than",
    type=DURATION_OR_ZERO,
    help="Only sessions that ended this long ago.  [default: prune.older_than, 7d]",
)
@click.option("--worktrees", is_flag=True, help="Remove their worktrees too, where nothing would be lost.")
@click.option("--dry-run", is_flag=True, help="Only show what would be forgotten.")
@quiet_option
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    older_than: timedelta | None,
    worktrees: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Delete finished sessions and their files.

    Their logs and records are deleted permanently; their events stay. Sessions that are live,
    whose process lingers (stopped*), or that have a hook or webhook still to be delivered are
    kept. With --worktrees, sessions whose worktree has changes, or commits that exist nowhere
    else, are kept too; see `agentctl worktree clean`.

    \b
    Examples:
      agentctl prune --dry-run
      agentctl prune --older-than 1d
      0 4 * * * agentctl prune -q >/dev/null

    \b
    Exit status:
      0  done, or nothing to forget
      3  some directories could not be deleted; they are named
      13 the state cannot be written
    """
    from agentctl.ops.state.prune import prune

    pruned = prune(runtime, older_than=older_than, dry_run=dry_run, with_worktrees=worktrees)
    _show.answer(
        pruned,
        as_json=as_json,
        document=partial(_fields, dry_run=dry_run),
        text=partial(_text, runtime, dry_run=dry_run),
        quiet=quiet,
        ids=lambda pruned: [session.id for session in pruned.forgotten],
    )
    if pruned.unknown:
        _show.note(
            f"{len(pruned.unknown)} directories belong to sessions that are not in this database;"
            " agentctl doctor --rebuild restores them"
        )
    if pruned.left:
        raise PartlyDone(
            f"could not be deleted: {', '.join(pruned.left)}",
            hint="check the owners and modes of the files",
        )


def _fields(pruned: Pruned, *, dry_run: bool) -> Mapping[str, object]:
    return {
        "dry_run": dry_run,
        "forgotten": [session.id for session in pruned.forgotten],
        "orphans": pruned.orphans,
        "kept": [{"id": session_id, "reason": why} for session_id, why in pruned.kept],
        "unknown": pruned.unknown,
        "not_deleted": pruned.left,
        "freed_bytes": pruned.freed,
        "worktrees": pruned.worktrees,
    }


def _text(runtime: Runtime, pruned: Pruned, *, dry_run: bool) -> str:
    from agentctl.core.durations import format_age
    from agentctl.core.sizes import format_size
    from agentctl.render import table

    now = runtime.clock()
    rows = [
        (
            session.id[:8],
            session.adapter,
            session.outcome,
            format_age(session.ended_at, now) if session.ended_at else None,
            session.name or session.prompt,
        )
        for session in pruned.forgotten
    ]
    for path in pruned.worktrees:
        _show.note(f"worktree {path} {'would be removed' if dry_run else 'removed'}")
    for session_id, why in pruned.kept:
        _show.note(f"session {session_id[:8]} is kept: {why}")
    orphans = f" and {len(pruned.orphans)} directories without a session" if pruned.orphans else ""
    verb = "would be forgotten" if dry_run else "forgotten"
    noun = "session" if len(pruned.forgotten) == 1 else "sessions"
    _show.note(f"{len(pruned.forgotten)} {noun}{orphans} {verb}, {format_size(pruned.freed)} freed")
    return table(("ID", "ADAPTER", "OUTCOME", "ENDED", "PROMPT"), rows, color=_show.uses_color(runtime))
