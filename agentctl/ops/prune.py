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
from agentctl.host import clock, locks
from agentctl.host.files import remove_tree
from agentctl.ops import manifest
from agentctl.ops.reconcile import reconcile
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


def prune(runtime: Runtime, *, older_than: timedelta | None, dry_run: bool) -> Pruned:
    """Forget what ended longer ago than `older_than` (None: the configured age)."""
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
    orphans, unknown = _orphans(runtime, db)
    doomed = [*(session.id for session in chosen), *orphans]
    freed = {name: _size(_directory(runtime, name)) for name in doomed}
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
    )


def _why_kept(runtime: Runtime, session: Session, waiting: set[str | None]) -> str | None:
    if session.id in waiting:
        return "a hook or webhook of it is still to be delivered"
    if _ID.fullmatch(session.id) is None:
        return "its id names no directory of ours"
    if locks.probe(runtime.paths.session(session.id).lock) is Held.YES:
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
            if _is_young(runtime, files.directory) or locks.probe(files.lock) is Held.YES:
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
            remove_tree(path)
        if os.path.lexists(path):
            yield path


def _directory(runtime: Runtime, name: str) -> str:
    return runtime.paths.session(name).directory


def _size(directory: str) -> int:
    """Bytes that the files below take on the disk; what cannot be read counts as nothing."""
    total = 0
    if os.path.islink(directory):
        return total
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except OSError:
                continue  # deleted meanwhile
    return total
