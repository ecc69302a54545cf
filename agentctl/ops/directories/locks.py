"""Locks that people put on directories: taking them, freeing them, listing all.

A directory is known by its real path. Parents and children of it do not conflict.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentctl.core.deadlines import decide_lock
from agentctl.core.ids import short
from agentctl.core.model import Lock
from agentctl.core.text import clean
from agentctl.errors import Locked, NotFound, UsageFault
from agentctl.ops.directories.paths import existing_directory, possible_paths
from agentctl.ops.reconcile.reconcile import Reconciled, reconcile
from agentctl.ops.sessions.doubt import is_given_up, way_out
from agentctl.runtime import Runtime
from agentctl.store import events, locks, sessions
from agentctl.store.db import Database, reading, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRequest:
    """Who wants which directory, why, and for how long; by default the user, permanently."""

    directory: str
    holder: str | None = None
    reason: str | None = None
    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The locks that were freed, and the locks of sessions that still hold the directory."""

    freed: tuple[Lock, ...]
    left: tuple[Lock, ...] = ()


def lock(runtime: Runtime, request: LockRequest) -> Lock:
    """Lock a directory by hand. Replaces a lock of the same holder; Locked if someone else has it."""
    directory = existing_directory(request.directory)
    holder = (user_name(runtime) if request.holder is None else request.holder).strip()
    if not holder:
        raise UsageFault("the holder's name is empty", hint="give a name with --by, or omit --by")
    if clean(holder) != holder or "\n" in holder or "\t" in holder:
        raise UsageFault(
            f"the holder's name {holder!r} is not a single line of plain text",
            hint="give --by a name without line ends and control characters",
        )
    db = runtime.state
    reconcile(runtime, db)
    now = runtime.clock()
    with transaction(db):
        mine = _own(runtime, db, locks.holders(db, directory), holder, now)
        for old in mine:
            locks.release(db, old.id)
        taken = locks.acquire(
            db,
            directory=directory,
            holder=holder,
            session_id=None,
            created_at=now,
            reason=request.reason,
            expires_at=None if request.ttl is None else now + request.ttl,
        )
        _record(runtime, db, "lock.acquired", taken, f"locked by {holder}", now)
    return taken


def unlock(runtime: Runtime, directory: str, *, force: bool = False) -> Unlocked:
    """Free the locks that people hold on a directory, which may be gone; with `force` those of sessions too.

    Raises NotFound if it is not locked, Locked if only live sessions hold it.
    """
    paths = possible_paths(directory)
    db = runtime.state
    reconcile(runtime, db)
    now = runtime.clock()
    with transaction(db):
        held = next((rows for path in paths if (rows := locks.holders(db, path))), [])
        if not held:
            raise NotFound(f"{paths[0]} is not locked", hint="agentctl locks shows all locks")
        given_up = {row.id: row for row in sessions.unsettled(db) if is_given_up(row)}
        freed = tuple(row for row in held if force or row.session_id is None or row.session_id in given_up)
        if not freed:
            raise in_use(held[0], "agentctl unlock --force frees it anyway")
        for row in freed:
            locks.release(db, row.id)
            abandoned = given_up.get(row.session_id or "")
            if abandoned is not None:
                # The user has the last word: the session is not looked at again.
                sessions.update(db, abandoned._replace(lingering=False))
            why = "forced" if row.session_id and abandoned is None else "unlocked"
            _record(runtime, db, "lock.released", row, why, now)
    return Unlocked(freed, tuple(row for row in held if row not in freed))


def held_locks(runtime: Runtime) -> list[Lock]:
    """Every lock in force, by directory; locks of sessions that have ended are freed first."""
    db = runtime.readable_state
    reconciled = reconcile(runtime, db)
    with reading(db):
        return binding_locks(runtime, db, reconciled)


def binding_locks(runtime: Runtime, db: Database, reconciled: Reconciled) -> list[Lock]:
    """The locks in force after this reconcile."""
    # If the reconcile could not be written, the locks that it freed are still in the table.
    over = {verdict.session.id for verdict in reconciled.verdicts if verdict.session.is_settled}
    rows = locks.all(db)
    return [row for row in rows if row.session_id not in over and not decide_lock(row, runtime.now)]


def user_name(runtime: Runtime) -> str:
    """Who runs this: the account's name, or the environment's if the account has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return runtime.environ.get("LOGNAME") or runtime.environ.get("USER") or f"uid {os.getuid()}"


def _own(runtime: Runtime, db: Database, held: list[Lock], holder: str, now: datetime) -> list[Lock]:
    """The locks that a new lock of `holder` replaces; Locked if someone else's is in force."""
    for row in held:
        if row.session_id is not None:
            hint = f"wait for it (agentctl wait {short(row.session_id)}) or stop it"
            session = sessions.get(db, row.session_id)
            raise in_use(row, hint if session is None else way_out(runtime, session, hint))
        if row.holder != holder and not decide_lock(row, now):
            raise held_by(row)
    return held


def held_by(row: Lock, otherwise: str = "") -> Locked:
    """The error for a directory that a person has locked; `otherwise` is a further way out."""
    why = f" ({row.reason})" if row.reason else ""
    hint = f"agentctl unlock {shlex.quote(row.directory)} frees it{otherwise}"
    return Locked(f"{row.directory} is locked by {row.holder}{why}", hint=hint)


def in_use(row: Lock, way_out: str) -> Locked:
    """The error for a directory that a session holds."""
    return Locked(f"{row.directory} is in use by session {short(row.session_id or '')}", hint=way_out)


def _record(runtime: Runtime, db: Database, type_: str, row: Lock, reason: str, now: datetime) -> None:
    events.append(
        db,
        type=type_,
        session_id=row.session_id,
        at=now,
        actor=runtime.actor,
        reason=reason,
        data={"directory": row.directory, "holder": row.holder, "reason": row.reason},
    )
