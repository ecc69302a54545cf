"""Observe, decide, apply: the first step of every command that speaks of sessions.

Verdicts are applied by compare-and-set in one transaction with their events and outbox
rows, so that of any number of simultaneous invocations exactly one wins a transition.
Signals are sent and deliverers started after the commit, never inside it.

Most invocations find nothing changed, so what applying needs is imported where it is
applied: that is a third of what `list` costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from agentctl.core.deadlines import decide_fuse, decide_lock
from agentctl.core.decide import decide
from agentctl.core.effects import AppendEvent, Signal, Sweep
from agentctl.core.model import Fuse, Liveness, Lock, Observation, Session, Verdict
from agentctl.ops.reconcile.observe import observe
from agentctl.runtime import OPTIONAL, Runtime
from agentctl.store import fuses, locks, outbox, sessions
from agentctl.store.db import CannotWrite, Database, reading, transaction

RECORD_ATTEMPTS = 20
"""A row changes a handful of times in its life: losing it more often means something else is wrong."""

NOTHING_SEEN = Observation(liveness=Liveness.UNKNOWN, evidence="not looked at")


class Judged(NamedTuple):
    """A session as it was read, what was seen of it, and the verdict."""

    before: Session
    fuse: Fuse | None
    seen: Observation
    verdict: Verdict

    @property
    def changes(self) -> bool:
        return self.verdict.session != self.before or self.verdict.fuse != self.fuse


class Reconciled(NamedTuple):
    """Every session that was not settled, judged; and whether that could be written down."""

    judged: tuple[Judged, ...]
    written: bool = True
    notes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(judged.verdict for judged in self.judged)


def reconcile(
    runtime: Runtime, db: Database, *, only: Iterable[str] | None = None, now: datetime | None = None
) -> Reconciled:
    """Bring every unsettled session (or those of `only`) up to what is true at `now`.

    Where the state is busy or read-only, the verdicts are computed all the same and
    `written` is False: the next invocation that can write finds the same.
    """
    now = now or runtime.now
    wanted = None if only is None else frozenset(only)
    with reading(db):
        rows = _unsettled(db, wanted)
        burning = fuses.for_sessions(db, [row.id for row in rows])
        free_fuses = [fuse for fuse in fuses.armed(db) if fuse.session_id is None and fuse.is_due(now)]
        expired = [lock for lock in locks.all(db) if decide_lock(lock, now)] if wanted is None else []
        is_due = wanted is None and outbox.count_due(db, now) > 0
    judged = [_judge(runtime, row, burning.get(row.id), now) for row in rows]
    if db.read_only:
        return Reconciled(tuple(judged), written=False)
    if is_due:
        _start_deliverer(runtime)
    if not free_fuses and not expired and not any(one.changes for one in judged):
        return Reconciled(tuple(judged))
    try:
        return Reconciled(tuple(_apply(runtime, db, judged, free_fuses, expired, now)))
    except CannotWrite as error:
        return Reconciled(tuple(judged), written=False, notes=(error.message,))


def _unsettled(db: Database, wanted: frozenset[str] | None) -> list[Session]:
    """All rows that reconcile has to look at, or those of them that are wanted."""
    if wanted is None:
        return sessions.unsettled(db)
    rows = [sessions.get(db, session_id) for session_id in wanted]
    return [row for row in rows if row is not None and not row.is_settled]


def record_end(runtime: Runtime, db: Database, session_id: str) -> None:
    """Reconcile a session whose end was seen, again if the row was lost to somebody who wrote other news.

    Its launcher may be recording the start of an agent that has ended already.
    """
    for _ in range(RECORD_ATTEMPTS):
        reconciled = reconcile(runtime, db, only=[session_id], now=runtime.clock())
        if all(judged.verdict.session.is_settled for judged in reconciled.judged):
            return


def commit(
    runtime: Runtime, db: Database, before: Session, fuse: Fuse | None, verdict: Verdict
) -> Session | None:
    """Apply one verdict that was asked for: the stored row, or None if row or fuse had moved on."""
    from agentctl.ops.reconcile.effects import record_effects

    one = Judged(before, fuse, NOTHING_SEEN, verdict)
    with transaction(db):
        stored = _write(db, one)
        queued = 0
        if stored is not None:
            queued = record_effects(runtime, db, stored, verdict.effects, runtime.clock())
    if stored is None:
        return None
    _after_commit(runtime, db, one._replace(verdict=verdict._replace(session=stored)))
    if queued:
        _start_deliverer(runtime)
    return stored


def _judge(runtime: Runtime, session: Session, fuse: Fuse | None, now: datetime) -> Judged:
    seen = observe(session, fuse, runtime.paths.session(session.id), now)
    return Judged(session, fuse, seen, decide(session, fuse, seen, now))


def _apply(
    runtime: Runtime,
    db: Database,
    judged: Sequence[Judged],
    free_fuses: Sequence[Fuse],
    expired: Sequence[Lock],
    now: datetime,
) -> list[Judged]:
    from agentctl.ops.reconcile.effects import record_effects

    settled: list[Judged] = []
    won: list[Judged] = []
    queued = 0
    with transaction(db, busy=OPTIONAL if runtime.only_reads else None):
        for one in judged:
            if not one.changes:
                settled.append(one)
                continue
            stored = _write(db, one)
            if stored is None:
                settled.append(_reread(db, one))
                continue
            queued += record_effects(runtime, db, stored, one.verdict.effects, now)
            applied = one._replace(verdict=one.verdict._replace(session=stored))
            settled.append(applied)
            won.append(applied)
        for fuse in free_fuses:
            queued += _expire(runtime, db, fuse, now)
        for lock in expired:
            _free(runtime, db, lock, now)
    for one in won:
        _after_commit(runtime, db, one)
    if queued:
        _start_deliverer(runtime)
    return settled


def _write(db: Database, one: Judged) -> Session | None:
    """Store a verdict if row and fuse are still the ones that were judged; None if not.

    Inside BEGIN IMMEDIATE nobody else writes, so comparing first and writing after is
    one step, and a fuse that was extended meanwhile cannot fire.
    """
    session_id = one.before.id
    current = sessions.get(db, session_id)
    if current is None or current.revision != one.before.revision:
        return None
    if fuses.for_session(db, session_id) != one.fuse:
        return None
    if one.verdict.fuse is not None and one.verdict.fuse != one.fuse:
        fuses.update(db, one.verdict.fuse)
    if one.verdict.session == one.before:
        return current
    return sessions.update(db, one.verdict.session)


def _reread(db: Database, one: Judged) -> Judged:
    """A row lost to another process is read again, not fought over."""
    current = sessions.get(db, one.before.id) or one.before
    fuse = fuses.for_session(db, current.id)
    verdict = Verdict(
        rule=one.verdict.rule,
        session=current,
        fuse=fuse,
        shown=current.status,
        reason=current.reason or one.verdict.reason,
    )
    return Judged(current, fuse, one.seen, verdict)


def _expire(runtime: Runtime, db: Database, fuse: Fuse, now: datetime) -> int:
    """Fire a directory's fuse, unless it was moved or fired since it was read."""
    from agentctl.ops.reconcile.effects import record_fuse_effects

    current = fuses.get(db, fuse.id)
    if current is None or current.revision != fuse.revision:
        return 0
    after, effects = decide_fuse(current, now)
    fuses.update(db, after)
    return record_fuse_effects(runtime, db, after, effects, now)


def _free(runtime: Runtime, db: Database, lock: Lock, now: datetime) -> None:
    """Free a lock whose holder asked for so much time and no more."""
    from agentctl.ops.reconcile.effects import append_event

    if locks.release(db, lock.id):
        data = {"directory": lock.directory, "holder": lock.holder}
        append_event(runtime, db, AppendEvent("lock.expired", "its time is over", data), None, now)


def _after_commit(runtime: Runtime, db: Database, one: Judged) -> None:
    """What only the winner does, with no transaction open."""
    from agentctl.ops.reconcile import manifest, terminate

    session = one.verdict.session
    files = runtime.paths.session(session.id)
    manifest.keep_in_step(runtime, db, session.id)
    for effect in one.verdict.effects:
        match effect:
            case Signal():
                terminate.send(session, effect, terminate.stoppers(files))
            case Sweep():
                terminate.sweep(session, terminate.stoppers(files))
            case _:
                pass


def _start_deliverer(runtime: Runtime) -> None:
    if runtime.delivers:
        return
    from agentctl.ops.reconcile.deliver import start_deliverer

    start_deliverer(runtime)
