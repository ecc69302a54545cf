"""A new database from the sessions' own files, when the old one is damaged or gone.

The new one is built beside the old one and takes its place when it is complete: killed
at any step, this leaves the one or the other. Running agents notice nothing: what proves
them alive is the lock that they hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from agentctl.core.metrics import FUSES_EXPIRED, counts_of
from agentctl.core.model import Fuse, Session
from agentctl.errors import Locked
from agentctl.host import waiting
from agentctl.host.files import remove
from agentctl.ops.reconcile import manifest
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.ops.state.prune import strays
from agentctl.runtime import REQUIRED, Runtime
from agentctl.store import counters, events, fuses, locks, sessions
from agentctl.store import recovery as salvage
from agentctl.store.db import Database, check, connect, dump_version, reading, set_aside, transaction
from agentctl.store.faults import newer
from agentctl.store.journal import COMPANIONS
from agentctl.store.migrations import SCHEMA_VERSION

PATIENCE = 3.0
"""Seconds that other invocations get to end."""

ROUNDS = 3

CANNOT_COME_BACK: Mapping[str, str] = {
    "events": "events",
    "locks": "locks put on directories by people",
    "fuses": "fuses of directories",
    "outbox": "hooks and webhooks still to be delivered",
    "counters": "totals of the metrics, of sessions that were forgotten",
}
"""Table → what of it is in no session's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What is in the new database, where the old one is, and what could not be brought over."""

    sessions: int
    live: int = 0
    ended: tuple[Session, ...] = ()
    """Sessions that were found to have ended meanwhile."""
    set_aside: str | None = None
    carried: Mapping[str, int] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Session directories whose manifest cannot be read; left as they are."""


def rebuild(runtime: Runtime, *, force: bool) -> Rebuilt:
    """Make a new database. Locked if another process has it open, or it is healthy and not `force`."""
    runtime.paths.create()
    if not force:
        _refuse_healthy(runtime)
    for _ in range(ROUNDS):
        rebuilt = _try_to_rebuild(runtime)
        if rebuilt is not None:
            return _judged(runtime, rebuilt)
    raise Locked(
        f"other invocations of agentctl keep writing to {runtime.paths.database}",
        hint="run it again when they are done; agentctl list shows what is at work",
    )


def _try_to_rebuild(runtime: Runtime) -> Rebuilt | None:
    """Build and swap; None if somebody has written to the old database meanwhile."""
    path = runtime.paths.database
    with _alone(path):
        before = _stamp(path)
    existed = any(os.path.exists(path + suffix) for suffix in ("", *COMPANIONS))
    salvaged = salvage.read(path) if os.path.exists(path) else salvage.Salvaged()
    manifests, unreadable = _manifests(runtime, salvaged)
    rows = _merged_sessions(salvaged, manifests)
    fresh = f"{path}.new"
    _discard(fresh)
    carried = _fill(runtime, fresh, salvaged, rows, manifests)
    with _alone(path):
        if _stamp(path) != before:
            _discard(fresh)
            return None
        aside = _aside(runtime, path) if existed else None
        os.rename(fresh, path)
    lost = [what for table, what in CANNOT_COME_BACK.items() if not existed or table in salvaged.incomplete]
    return Rebuilt(
        sessions=len(rows), set_aside=aside, carried=carried, lost=tuple(lost), unreadable=unreadable
    )


def _judged(runtime: Runtime, rebuilt: Rebuilt) -> Rebuilt:
    """The same, once reconcile has looked at what came back."""
    db = runtime.state
    ended = reconcile(runtime, db).ended
    with reading(db):
        live = sum(not row.is_final for row in sessions.unsettled(db))
    return replace(rebuilt, live=live, ended=ended)


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """`salvage.sole_user`, once the short invocations that are under way have ended."""
    with ExitStack() as stack:

        def is_ours() -> bool:
            try:
                stack.enter_context(salvage.sole_user(path))
            except Locked:
                return False
            return True

        if not waiting.poll(is_ours, timeout=PATIENCE):
            stack.enter_context(salvage.sole_user(path))
        yield


def _refuse_healthy(runtime: Runtime) -> None:
    path = runtime.paths.database
    if not os.path.exists(path) or check(path):
        return
    if (version := dump_version(path)) > SCHEMA_VERSION:
        raise newer(path, found=version, known=SCHEMA_VERSION)
    salvaged = salvage.read(path)
    known = {session.id for session in salvaged.sessions} | _forgotten(salvaged)
    if salvaged.incomplete or any(manifest.read(runtime, name) for name in strays(runtime, known)):
        return
    raise Locked(
        f"database {path} is healthy and knows every session directory: a rebuild would gain nothing",
        hint="--force rebuilds it anyway; events, locks put by people and fuses of directories"
        " are in no session's files, and come over only where they can be read",
    )


def _manifests(
    runtime: Runtime, salvaged: salvage.Salvaged
) -> tuple[dict[str, tuple[Session, Fuse | None]], tuple[str, ...]]:
    """Session id → its row and fuse as last written beside its files; and the unreadable directories."""
    found: dict[str, tuple[Session, Fuse | None]] = {}
    unreadable: list[str] = []
    known = {session.id for session in salvaged.sessions}
    for name in strays(runtime, _forgotten(salvaged)):
        read = manifest.read(runtime, name)
        if read is not None and read[0].id == name and not read[0].is_external:
            found[name] = read
        elif name not in known:
            unreadable.append(runtime.paths.session(name).directory)
    return found, tuple(unreadable)


def _forgotten(salvaged: salvage.Salvaged) -> set[str]:
    """Sessions that the ledger knows and the table does not: a prune was killed over their directories."""
    if "sessions" in salvaged.incomplete:
        return set()
    known = {session.id for session in salvaged.sessions}
    return {row["session_id"] for row in salvaged.rows.get("events", ()) if row["session_id"]} - known


def _merged_sessions(
    salvaged: salvage.Salvaged, manifests: Mapping[str, tuple[Session, Fuse | None]]
) -> list[Session]:
    """Each session once: the newer of row and manifest."""
    rows = {session.id: session for session in salvaged.sessions}
    for session_id, (session, _) in manifests.items():
        row = rows.get(session_id)
        if row is None or session.revision >= row.revision:
            rows[session_id] = session
    return sorted(rows.values(), key=lambda session: (session.created_at, session.id))


def _merged_fuses(
    salvaged: salvage.Salvaged, manifests: Mapping[str, tuple[Session, Fuse | None]]
) -> list[Fuse]:
    """Each fuse once: the newer of row and manifest."""
    known = {fuse.id: fuse for fuse in salvaged.fuses}
    for _, fuse in manifests.values():
        if fuse is not None and (fuse.id not in known or fuse.revision >= known[fuse.id].revision):
            known[fuse.id] = fuse
    return sorted(known.values(), key=lambda fuse: fuse.created_at)


def _fill(
    runtime: Runtime,
    fresh: str,
    salvaged: salvage.Salvaged,
    rows: list[Session],
    manifests: Mapping[str, tuple[Session, Fuse | None]],
) -> dict[str, int]:
    """Make the new database; how much came over from the old one."""
    db = connect(fresh, busy=REQUIRED)
    try:
        with transaction(db):
            carried = salvage.copy(db, salvaged)
            known = {session.id for session in rows}
            for session in rows:
                sessions.insert(db, session)
                if not session.is_settled:
                    locks.acquire_for(db, session)
            for fuse in _merged_fuses(salvaged, manifests):
                if fuse.session_id is None or fuse.session_id in known:
                    fuses.insert(db, fuse)
                    carried["fuses"] = carried.get("fuses", 0) + (fuse.session_id is None)
            _count_again(db, salvaged, rows)
            events.append(
                db,
                type="state.rebuilt",
                session_id=None,
                at=runtime.clock(),
                actor=runtime.actor,
                reason=f"a new database was made of {len(rows)} sessions",
                data={"sessions": len(rows)},
            )
    finally:
        db.close()
    return {name: count for name, count in carried.items() if count}


def _count_again(db: Database, salvaged: salvage.Salvaged, rows: Iterable[Session]) -> None:
    """Totals that did not all come over, as far as the sessions and events at hand make them."""
    if salvaged.rows.get("counters") and "counters" not in salvaged.incomplete:
        return
    totals: dict[str, int] = {}
    for session in rows:
        for name, by in counts_of(session).items():
            totals[name] = totals.get(name, 0) + by
    expired = sum(row["type"] == "fuse.expired" for row in salvaged.rows.get("events", ()))
    if expired:
        totals[FUSES_EXPIRED] = expired
    for name, value in totals.items():
        counters.raise_to(db, name, value)


def _aside(runtime: Runtime, path: str) -> str:
    label = runtime.clock().strftime("damaged-%Y%m%dT%H%M%S.%fZ")
    return set_aside(path, label)


def _stamp(path: str) -> tuple[tuple[int, int, int], ...]:
    """What tells whether somebody has written to a database."""
    stamps = []
    for name in (path, f"{path}-wal"):
        try:
            stat = os.stat(name)
            # A -wal that is empty says the same as none: SQLite makes and removes it to read.
            stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size) if stat.st_size else (0, 0, 0))
        except FileNotFoundError:
            stamps.append((0, 0, 0))
    return tuple(stamps)


def _discard(fresh: str) -> None:
    """Delete what a rebuild that was killed has left."""
    for suffix in ("", *COMPANIONS):
        remove(fresh + suffix)
