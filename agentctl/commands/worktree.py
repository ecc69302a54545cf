"""`agentctl worktree`: listing worktrees, removing them, and bringing one back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import (
    DURATION_OR_ZERO,
    GROUP,
    WORKTREE,
    json_option,
    pass_runtime,
    quiet_option,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from agentctl.ops.worktrees.clean import Cleaned, CleanReport
    from agentctl.ops.worktrees.inspect import Worktree
    from agentctl.ops.worktrees.restore import Restored
    from agentctl.runtime import Runtime


@click.group(
    "worktree",
    epilog="""\b
Examples:
  agentctl worktree list
  agentctl worktree clean 3f2a --delete-branch
  agentctl worktree clean --merged --older-than 7d --dry-run
  agentctl worktree clean --force ../site-fix
  agentctl worktree restore 3f2a
""",
)
def command() -> None:
    """List, remove and restore agents' worktrees.

    `agentctl launch --worktree` makes a worktree beside its repository, named after its
    branch. It stays after its session has ended, until it is removed by `agentctl worktree
    clean`, by `agentctl prune --worktrees` or by git itself.
    """


@command.command("list")
@click.argument("repository", metavar="[REPO]", required=False, type=click.Path())
@quiet_option
@json_option
@pass_runtime
def list_command(runtime: Runtime, repository: str | None, quiet: bool, as_json: bool) -> None:
    """List worktrees with their sessions and their state.

    Lists the worktrees of REPO, by default of the current directory's repository. Outside of
    any repository, it lists all worktrees that agentctl made. STATE shows what would be lost
    with a worktree: changed files, untracked files, and commits that are on no other branch
    and on no remote (unpushed). "ahead" counts the commits since the session began; "merged"
    means that the main worktree or origin has all of them, or the same changes as other
    commits. With -q, only paths are printed.

    \b
    Exit status: 0 always, also for an empty list; 10 no such repository; 13 the state cannot be read.
    """
    from agentctl.ops.worktrees.inspect import list_worktrees

    listed = list_worktrees(runtime, repository, sizes=not quiet)
    _show.answer(
        listed,
        as_json=as_json,
        document=lambda listed: {"worktrees": [_fields(one) for one in listed]},
        text=partial(_table, runtime),
        quiet=quiet,
        ids=lambda listed: [one.seen.checkout.path for one in listed],
    )


@command.command("clean")
@click.argument("targets", metavar="[ID|PATH...]", nargs=-1, type=WORKTREE)
@click.option("--group", type=GROUP, help="Remove the worktrees of this group.")
@click.option("--merged", is_flag=True, help="Only if the main worktree or origin has all its changes.")
@click.option("--older-than", type=DURATION_OR_ZERO, help="Only if its session ended at least this long ago.")
@click.option("--repo", type=click.Path(), help="Only worktrees of this repository.")
@click.option("--delete-branch", is_flag=True, help="Also delete the branch.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed and what would be kept.")
@click.option("--force", is_flag=True, help="Save work that would be lost, then remove the worktree.")
@quiet_option
@json_option
@pass_runtime
def clean_command(
    runtime: Runtime,
    /,
    targets: tuple[str, ...],
    group: str | None,
    repo: str | None,
    quiet: bool,
    as_json: bool,
    *,
    merged: bool,
    older_than: timedelta | None,
    delete_branch: bool,
    dry_run: bool,
    force: bool,
) -> int:
    """Remove worktrees without losing work.

    A worktree is kept, and the reason shown, if it has changed or untracked files or commits
    that are on no other branch and on no remote, or if a process uses it. With --force its
    state is saved first, as a commit in refs/agentctl/salvage/, and `agentctl worktree
    restore` brings it back. Ignored files are not saved, and do not prevent a removal. Even
    --force keeps a worktree in which a session is running, that is locked, that has
    submodules, or that contains another worktree.

    Without ID or PATH, give --group, --merged or --older-than: they choose among all worktrees
    that agentctl made in --repo, by default in the current directory's repository; outside of
    any repository, in all. If nothing matches there, what would match elsewhere is named.

    \b
    Exit status:
      0   removed, or nothing matched
      3   some were kept
      10  no such session, worktree or repository
      11  all were kept
    """
    from agentctl.ops.worktrees.clean import CleanRequest, clean

    if targets and group is not None:
        raise click.UsageError("give worktrees or --group, not both")
    if not targets and group is None and not merged and older_than is None:
        raise click.UsageError("give worktrees, or choose them with --group, --merged or --older-than")
    if repo is not None and group is not None:
        raise click.UsageError("give --group or --repo, not both")
    request = CleanRequest(
        targets=targets,
        place=repo,
        group=group,
        merged=merged,
        older_than=older_than,
        delete_branch=delete_branch,
        dry_run=dry_run,
        force=force,
    )
    report = clean(runtime, request)
    _show.answer(
        report,
        as_json=as_json,
        document=partial(_report_fields, dry_run=dry_run),
        text=partial(_tell, dry_run=dry_run, quiet=quiet),
    )
    refused = sum(bool(one.refused) for one in report.cleaned)
    if not refused:
        return 0
    return 11 if refused == len(report.cleaned) else 3


@command.command("restore")
@click.argument("saved", metavar="ID")
@click.option("--repo", type=click.Path(), help="The repository, if the session was pruned.")
@json_option
@pass_runtime
def restore_command(runtime: Runtime, saved: str, repo: str | None, as_json: bool) -> None:
    """Bring back a worktree that was removed by force.

    The worktree is created again where it was, on its branch if the branch has not moved,
    with the saved files as uncommitted changes. Then the saved state is deleted. ID is the
    session, or the name that the removal printed.

    \b
    Exit status: 0 restored; 1 git failed; 10 nothing is saved under this name.
    """
    from agentctl.ops.worktrees.restore import restore

    restored = restore(runtime, saved, repo)
    _show.answer(
        restored,
        as_json=as_json,
        document=lambda restored: {
            "path": restored.path,
            "branch": restored.branch,
            "restored": restored.name,
        },
        text=_restored,
    )


def _restored(restored: Restored) -> str:
    for note in restored.notes:
        _show.note(note)
    where = f"on branch {restored.branch}" if restored.branch else "with a detached HEAD"
    _show.note(f"restored {where}; its changes are not committed")
    return restored.path


def _fields(one: Worktree) -> Mapping[str, object]:
    seen, checkout = one.seen, one.seen.checkout
    return {
        "path": os.path.realpath(checkout.path),
        "repo": one.repo,
        "branch": checkout.branch,
        "head": checkout.head,
        "session_id": one.session_id,
        "group": one.session.group if one.session else one.mark.group if one.mark else None,
        "status": one.session.status if one.session else None,
        "outcome": one.session.outcome if one.session else None,
        "live": [session.id for session in one.live],
        "changed": list(seen.modified),
        "untracked": list(seen.untracked),
        "ahead": one.ahead,
        "unpushed": seen.unpushed,
        "merged": seen.merged,
        "under_way": seen.under_way,
        "pids": [process.pid for process in seen.occupants],
        "locked": checkout.locked,
        "missing": checkout.missing,
        "size_bytes": one.size,
        "obstacles": list(seen.obstacles),
        "barriers": list(one.barriers),
    }


def _table(runtime: Runtime, listed: Sequence[Worktree]) -> str:
    from agentctl.core.sizes import format_size
    from agentctl.render import table, tilde

    rows = [
        (
            one.seen.checkout.branch or "(detached)",
            one.session_id[:8] if one.session_id else None,
            one.session.status if one.session else None,
            _state(one),
            None if one.size is None else format_size(one.size),
            tilde(one.seen.checkout.path, _show.home(runtime)),
        )
        for one in listed
    ]
    headers = ("BRANCH", "SESSION", "STATUS", "STATE", "SIZE", "PATH")
    return table(headers, rows, color=_show.uses_color(runtime))


def _state(one: Worktree) -> str:
    """The state in a few words: `2 changed, 1 untracked, 3 ahead, unpushed`."""
    seen = one.seen
    words = [
        f"{len(names)} {what}"
        for names, what in ((seen.modified, "changed"), (seen.untracked, "untracked"))
        if names
    ]
    words += [f"{one.ahead} ahead"] if one.ahead else []
    words += [f"{seen.unpushed} unpushed"] if seen.unpushed else []
    words += ["merged"] if seen.merged and one.ahead else []
    words += [seen.under_way] if seen.under_way else []
    words += ["in use"] if one.live or seen.occupants else []
    words += ["locked"] if seen.checkout.locked is not None or one.held_by else []
    words += ["missing"] if seen.checkout.missing else []
    return ", ".join(words) or "clean"


def _report_fields(report: CleanReport, *, dry_run: bool) -> Mapping[str, object]:
    return {
        "dry_run": dry_run,
        "worktrees": [
            {
                "path": os.path.realpath(one.worktree.seen.checkout.path),
                "branch": one.worktree.seen.checkout.branch,
                "session_id": one.worktree.session_id,
                "removed": not one.refused and not dry_run,
                "refused": list(one.refused),
                "saved": one.saved,
                "branch_deleted": one.branch_deleted,
                "freed_bytes": one.freed,
                "notes": list(one.notes),
            }
            for one in report.cleaned
        ],
        "notes": report.notes,
    }


def _tell(report: CleanReport, *, dry_run: bool, quiet: bool) -> None:
    for one in report.cleaned:
        _tell_one(one, dry_run=dry_run, quiet=quiet)
    for note in report.notes:
        _show.note(note)


def _tell_one(one: Cleaned, *, dry_run: bool, quiet: bool) -> None:
    from agentctl.core.sizes import format_size

    path = one.worktree.seen.checkout.path
    if one.refused:
        _show.note(f"worktree {path} was kept: {'; '.join(one.refused)}")
        _show.hint(one.hint)
        return
    if quiet:
        click.echo(path)
    elif dry_run:
        _show.note(f"worktree {path} would be removed, {format_size(one.freed)}")
    else:
        branch = f" with branch {one.worktree.seen.checkout.branch}" if one.branch_deleted else ""
        _show.note(f"worktree {path} removed{branch}, {format_size(one.freed)} freed")
    if one.saved:
        _show.note(f"its state is saved; agentctl worktree restore {one.saved} brings it back")
    for note in one.notes:
        _show.note(note)
