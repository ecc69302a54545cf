"""Forgetting ended sessions, and deleting their directories.

Rows first, directories after: a crash between the two leaves a directory without a row,
which the next prune finds. Never touches a session that may still be at work, nor
anything outside the directory of the sessions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentctl.core.model import Held, Session
from agentctl.errors import AgentctlError
from agentctl.host import clock, flock, repository
from agentctl.host.files import remove_directory
from agentctl.host.occupants import size_of
from agentctl.ops.reconcile import manifest
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.runtime import Runtime
from agentctl.store import events, outbox, sessions
from agentctl.store.db import Database, reading, transaction

ORPHAN_AGE = timedelta(hours=1)
"""A launch makes its directory before its row; a younger directory may be one of these."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was forgotten, or would be; `freed` in bytes."""

    forgotten: tuple[Session, ...]
    orphans: tuple[str, ...]
    """Directories without a row that were deleted."""
    freed: int
    kept: tuple[tuple[str, str], ...] = ()
    """Old enough, but kept: session id and why."""
    unknown: tuple[str, ...] = ()
    """Directories of sessions that this database has never known; left alone."""
    left: tuple[str, ...] = ()
    """Directories that could not be deleted."""
    worktrees: tuple[str, ...] = ()
    """Worktrees that were removed, or would be."""


def prune(
    runtime: Runtime, *, older_than: timedelta | None, dry_run: bool, with_worktrees: bool = False
) -> Pruned:
    """Forget what ended longer ago than `older_than` (None: the configured age).

    `with_worktrees` removes their worktrees too; a session is kept where that would lose something.
    """
    age = runtime.settings.prune_older_than if older_than is None else older_than
    db = runtime.readable_state if dry_run else runtime.state
    reconcile(runtime, db)
    kept: list[tuple[str, str]] = []
    chosen: list[Session] = []
    with reading(db):
        waiting = {row.session_id for row in outbox.due(db, _END_OF_TIME)}
        for session in sessions.older_than(db, runtime.now - age):
            why = _why_kept(runtime, session, waiting)
            if why is None:
                chosen.append(session)
            else:
                kept.append((session.id, why))
    removed: list[str] = []
    if with_worktrees:
        chosen, removed, refused = _without_worktrees(runtime, db, chosen, dry_run=dry_run)
        kept += refused
    orphans, unknown = _orphans(runtime, db)
    doomed = [*(session.id for session in chosen), *orphans]
    freed = {name: size_of(_directory(runtime, name)) for name in doomed}
    left: list[str] = []
    if not dry_run:
        with transaction(db):
            sessions.delete(db, [session.id for session in chosen])
        left = list(_remove(runtime, doomed))
        freed = {name: size for name, size in freed.items() if _directory(runtime, name) not in left}
    return Pruned(
        forgotten=tuple(chosen),
        orphans=tuple(orphans),
        freed=sum(freed.values()),
        kept=tuple(kept),
        unknown=tuple(unknown),
        left=tuple(left),
        worktrees=tuple(removed),
    )


def _without_worktrees(
    runtime: Runtime, db: Database, chosen: list[Session], *, dry_run: bool
) -> tuple[list[Session], list[str], list[tuple[str, str]]]:
    """Remove the worktrees of sessions to be forgotten: who may be, which went, and who is kept and why.

    A branch that agentctl named goes with it: what is removed without force is contained elsewhere.
    """
    from agentctl.ops.worktrees import clean as cleaning
    from agentctl.ops.worktrees.inspect import worktrees_of

    doomed = {session.id for session in chosen}
    removed: list[str] = []
    refused: dict[str, str] = {}
    for place in dict.fromkeys((one.repo, one.cwd) for one in chosen if one.repo):
        repo, path = place
        try:
            found = repository.find(repo or "", runtime.environ)
        except AgentctlError:
            continue  # the repository is gone, and its worktrees are nobody's any more
        with reading(db):
            users = [row.id for row in sessions.in_worktrees(db, repo or "") if row.cwd == path]
        if not doomed.issuperset(users):
            continue  # a younger session ran in it
        for one in worktrees_of(runtime, db, found, only=path):
            named_by_us = (one.seen.checkout.branch or "").startswith("try/")
            request = cleaning.CleanRequest(delete_branch=named_by_us, dry_run=dry_run)
            cleaned = cleaning.remove(runtime, db, one, request)
            if cleaned.refused:
                refused |= dict.fromkeys(users, f"its worktree {path}: {'; '.join(cleaned.refused)}")
            else:
                removed.append(path)
    return (
        [session for session in chosen if session.id not in refused],
        removed,
        list(refused.items()),
    )


def _why_kept(runtime: Runtime, session: Session, waiting: set[str | None]) -> str | None:
    if session.id in waiting:
        return "a hook or webhook of it is still to be delivered"
    if _ID.fullmatch(session.id) is None:
        return "its id names no directory of ours"
    if flock.probe(runtime.paths.session(session.id).lock) is Held.YES:
        return "its shim is still at work"
    return None


def strays(runtime: Runtime, known: Iterable[str]) -> Iterator[str]:
    """Names of session directories that have no row among `known`; links are none."""
    ids = frozenset(known)
    try:
        with os.scandir(runtime.paths.sessions) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from sorted(name for name in names if _ID.fullmatch(name) and name not in ids)


def _orphans(runtime: Runtime, db: Database) -> tuple[list[str], list[str]]:
    """Directories that a prune or a launch was killed over, and those of another database's sessions."""
    orphans: list[str] = []
    unknown: list[str] = []
    with reading(db):
        ids = sessions.all_ids(db)
        for name in strays(runtime, ids):
            files = runtime.paths.session(name)
            # Age first: to probe the lock of a launch that is about to take it would refuse it.
            if _is_young(runtime, files.directory) or flock.probe(files.lock) is Held.YES:
                continue
            (unknown if _knows_nothing_of(runtime, db, name) else orphans).append(name)
    return orphans, unknown


def is_lost(runtime: Runtime, db: Database, name: str) -> bool:
    """A directory without a row is all that is left of a session whose database was lost."""
    with reading(db):
        return _knows_nothing_of(runtime, db, name)


def _knows_nothing_of(runtime: Runtime, db: Database, name: str) -> bool:
    # The ledger outlives its rows: a session that it does not know was not forgotten by a
    # prune, and its directory is all there is to rebuild it from.
    return manifest.read(runtime, name) is not None and not events.since(db, 0, limit=1, session_id=name)


def _is_young(runtime: Runtime, directory: str) -> bool:
    try:
        return runtime.now - clock.modified_at(os.lstat(directory)) < ORPHAN_AGE
    except FileNotFoundError:
        return True


def _remove(runtime: Runtime, names: Iterable[str]) -> Iterator[str]:
    """Delete the directories of these sessions; the paths of those that are still there."""
    for name in names:
        path = _directory(runtime, name)
        if os.path.islink(path):
            os.unlink(path)
        else:
            remove_directory(path)
        if os.path.lexists(path):
            yield path


def _directory(runtime: Runtime, name: str) -> str:
    return runtime.paths.session(name).directory
