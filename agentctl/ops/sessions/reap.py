"""The calls that a shim makes, and `reap`: bring everything up to date, deliver what is due."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentctl.core.model import Fuse, Held, Session, StopCause
from agentctl.host import flock
from agentctl.host.files import create_private, keep_end
from agentctl.host.owner import give_files_to_owner
from agentctl.host.waiting import poll
from agentctl.ops.reconcile import deliver, manifest
from agentctl.ops.reconcile.deliver import Delivered
from agentctl.ops.reconcile.reconcile import reconcile, record_end
from agentctl.ops.reconcile.sweep import claimed, finish_pending
from agentctl.ops.reconcile.terminate import Ended
from agentctl.ops.sessions.doubt import is_doubtful
from agentctl.ops.sessions.stop import Stopped, end_lingering, see_out
from agentctl.ops.settings.config import endings_by_default
from agentctl.runtime import Runtime
from agentctl.store import fuses, sessions
from agentctl.store.db import Database, reading

TRIMMED_WITHIN = timedelta(days=2)
"""How long after its end a session's log may still be cut; cron comes by more often."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What one round of upkeep found and did."""

    ended: tuple[Session, ...]
    stopped: tuple[Stopped, ...]
    swept: tuple[Ended, ...]
    """What sessions that were stopped before had left running."""
    delivered: Delivered


def finalise(runtime: Runtime, session_id: str) -> None:
    """A shim's last call: record the end of its session, deliver what that queued."""
    give_files_to_owner(runtime.paths.session(session_id).directory)
    db = runtime.state
    record_end(runtime, db, session_id)
    deliver.deliver(runtime, db, session_id=session_id)


def tick(runtime: Runtime, session_id: str) -> None:
    """A timer's call shortly before a warning or deadline: decide by the database when its time has come.

    A session whose fuse fired is seen to its end.
    """
    db = runtime.state
    with reading(db):
        instant = manifest.next_instant(fuses.for_session(db, session_id))
    if instant is not None and instant - runtime.clock() <= manifest.EARLY:
        poll(lambda: runtime.clock() >= instant, timeout=manifest.EARLY.total_seconds())
    with claimed(runtime, [session_id]) as ours:
        reconcile(runtime, db, only=[session_id])
        with reading(db):
            session = sessions.get(db, session_id)
        if session is not None and not session.is_final and session.stop_cause is not StopCause.NONE:
            see_out(runtime, db, [session], ours)


def reap(runtime: Runtime) -> Reaped:
    """Reconcile all, see fuses that fired to their end, end lingering processes, deliver."""
    db = runtime.state
    runtime.sweeps = True
    with reading(db):
        live = [row for row in sessions.unsettled(db) if not row.is_final]
        burning = fuses.for_sessions(db, [row.id for row in live])
    about = [row.id for row in live if _may_be_signalled(row, burning.get(row.id), runtime.now)]
    with claimed(runtime, about) as ours:
        reconciled = reconcile(runtime, db)
        stopping = [
            verdict.session
            for verdict in reconciled.verdicts
            if not verdict.session.is_final and verdict.session.stop_cause is not StopCause.NONE
        ]
        stopped = see_out(runtime, db, stopping, ours)
    with reading(db):
        lingering = [row for row in sessions.unsettled(db) if row.lingering and not is_doubtful(runtime, row)]
    for session in lingering:
        with claimed(runtime, [session.id]):
            stopped.append(end_lingering(runtime, db, session))
    swept = finish_pending(runtime, db)
    delivered = deliver.deliver_alone(runtime, db)
    _tell_of_endings(runtime)
    _trim_logs(runtime, db)
    return Reaped(reconciled.ended, tuple(stopped), tuple(swept), delivered)


def _may_be_signalled(session: Session, fuse: Fuse | None, now: datetime) -> bool:
    return session.stop_cause is not StopCause.NONE or (fuse is not None and fuse.is_due(now))


def _tell_of_endings(runtime: Runtime) -> None:
    """Warn once that starts and fuses are not posted unless `webhook.events` asks for them."""
    told = runtime.paths.told_endings
    if not os.path.exists(told) and (endings := endings_by_default(runtime)):
        runtime.notices.append(f"{endings} (agentctl config set webhook.events EVENT...)")
        with suppress(OSError):  # then the next round says it again
            create_private(told)


def _trim_logs(runtime: Runtime, db: Database) -> None:
    """Cut logs of ended sessions to the configured size, but none that something still holds."""
    size = runtime.settings.log_max_size
    if size is None:
        return
    with reading(db):
        ended = sessions.recent(db, since=runtime.now - TRIMMED_WITHIN)
    for session in ended:
        files = runtime.paths.session(session.id)
        if Held.YES in map(flock.probe, (files.lock, files.tree, files.log)):
            continue
        with suppress(OSError):  # a full disk, or a log that is not ours any more: tomorrow is another day
            keep_end(files.log, size)
