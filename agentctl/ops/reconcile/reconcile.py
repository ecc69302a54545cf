"""Observe, decide, apply: the first step of every command about sessions.

Verdicts are applied by compare-and-set in one transaction with their events and outbox
rows, so that of any number of simultaneous invocations exactly one wins a transition.
Signals are sent and deliverers started after the commit, never inside it.

Most invocations find nothing changed, so what applying needs is imported where it is
applied: that is a third of what `list` costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from agentctl.core.deadlines import decide_fuse, decide_lock
from agentctl.core.decide import decide
from agentctl.core.effects import AppendEvent, Signal, Sweep
from agentctl.core.model import Fuse, Liveness, Lock, Session, Verdict, as_stored
from agentctl.ops.reconcile.observe import observe
from agentctl.runtime import OPTIONAL, Runtime
from agentctl.store import fuses, locks, outbox, sessions
from agentctl.store.db import CannotWrite, Database, reading, transaction

if TYPE_CHECKING:
    from agentctl.core.sweeping import Tree

RECORD_ATTEMPTS = 20
"""A row changes a handful of times in its life: losing it more often means something else is wrong."""


class Reconciled(NamedTuple):
    """The verdict on every session that was not settled, and whether these could be written down."""

    verdicts: tuple[Verdict, ...]
    written: bool = True

    @property
    def ended(self) -> tuple[Session, ...]:
        """The sessions that these verdicts ended."""
        return tuple(verdict.session for verdict in self.verdicts if verdict.is_ending)


def reconcile(
    runtime: Runtime, db: Database, *, only: Iterable[str] | None = None, now: datetime | None = None
) -> Reconciled:
    """Bring every unsettled session (or those of `only`) up to what is true at `now`.

    Where the state is busy or read-only, `written` is False and the verdicts are computed
    anyway: the next invocation that can write comes to the same.
    """
    now = now or runtime.now
    wanted = None if only is None else frozenset(only)
    with reading(db):
        rows = _unsettled(db, wanted)
        burning = fuses.for_sessions(db, [row.id for row in rows])
        free_fuses = [fuse for fuse in fuses.armed(db) if fuse.session_id is None and fuse.is_due(now)]
        expired = [lock for lock in locks.all(db) if decide_lock(lock, now)] if wanted is None else []
        is_due = wanted is None and (outbox.count_due(db, now) > 0 or _can_post_what_waits(runtime, db))
        unswept = sessions.unswept(db) if wanted is None and not runtime.sweeps else []
    verdicts: dict[str, Verdict] = {}
    changed: list[Verdict] = []
    for row in rows:
        fuse = burning.get(row.id)
        seen = observe(row, fuse, runtime.paths.session(row.id), now)
        # What ended without a record is dated by when it was seen to be gone: at `now` it may have lived.
        is_gone = seen.exit is None and seen.liveness is Liveness.DEAD
        verdict = decide(row, fuse, seen, max(now, runtime.clock()) if is_gone else now)
        verdicts[row.id] = verdict
        if verdict.session != row or verdict.fuse != fuse:
            changed.append(verdict)
    if db.read_only:
        return Reconciled(tuple(verdicts.values()), written=False)
    if is_due:
        _start_deliverer(runtime)
    if unswept:
        from agentctl.ops.reconcile import sweep

        for session_id in unswept:
            sweep.hand_over(runtime, session_id)
    if not free_fuses and not expired and not changed:
        return Reconciled(tuple(verdicts.values()))
    try:
        applied = _apply(runtime, db, changed, free_fuses, expired, now)
    except CannotWrite:
        return Reconciled(tuple(verdicts.values()), written=False)
    return Reconciled(tuple((verdicts | applied).values()))


def _can_post_what_waits(runtime: Runtime, db: Database) -> bool:
    """Posts wait for an address or a secret, and this process's environment has it."""
    if not runtime.has_own_webhook:
        return False
    waiting = outbox.waiting(db)
    if not waiting or runtime.sound_settings is None:
        return False
    from agentctl.ops.reconcile.deliver import can_be_made

    return any(can_be_made(runtime, row) for row in waiting)


def _unsettled(db: Database, wanted: frozenset[str] | None) -> list[Session]:
    """All rows that reconcile has to look at, or those of them that are wanted."""
    if wanted is None:
        return sessions.unsettled(db)
    rows = [sessions.get(db, session_id) for session_id in wanted]
    return [row for row in rows if row is not None and not row.is_settled]


def record_end(runtime: Runtime, db: Database, session_id: str) -> None:
    """Reconcile a session whose end was seen, again if the row was lost to somebody who wrote other news.

    Its launcher may be recording the start of an agent that has already ended.
    """
    for _ in range(RECORD_ATTEMPTS):
        reconciled = reconcile(runtime, db, only=[session_id], now=runtime.clock())
        if all(verdict.session.is_settled for verdict in reconciled.verdicts):
            return


def commit(runtime: Runtime, db: Database, verdict: Verdict) -> Session | None:
    """Apply one verdict that was asked for: the stored row, or None if row or fuse had moved on."""
    from agentctl.ops.reconcile.effects import record_effects

    left = _left_behind(runtime, [verdict])
    with transaction(db):
        stored = _write(db, verdict)
        if stored is None:
            return None
        queued = record_effects(runtime, db, stored, verdict.effects, runtime.clock())
        _want_sweep(db, stored, verdict, left, runtime.clock())
    _after_commit(runtime, db, verdict._replace(session=stored))
    if queued:
        _start_deliverer(runtime)
    return stored


def _apply(
    runtime: Runtime,
    db: Database,
    changed: Sequence[Verdict],
    free_fuses: Sequence[Fuse],
    expired: Sequence[Lock],
    now: datetime,
) -> dict[str, Verdict]:
    """Write what has changed; session id → the verdict as it is stored, by us or by whoever was first."""
    from agentctl.ops.reconcile.effects import record_effects

    applied: dict[str, Verdict] = {}
    won: list[Verdict] = []
    queued = 0
    left = _left_behind(runtime, changed)
    with transaction(db, busy=OPTIONAL if runtime.only_reads else None):
        for verdict in changed:
            stored = _write(db, verdict)
            if stored is None:
                applied[verdict.session.id] = _reread(db, verdict)
                continue
            queued += record_effects(runtime, db, stored, verdict.effects, now)
            _want_sweep(db, stored, verdict, left, now)
            won.append(verdict._replace(session=stored))
        for fuse in free_fuses:
            queued += _expire(runtime, db, fuse, now)
        for lock in expired:
            _free(runtime, db, lock, now)
    for verdict in won:
        applied[verdict.session.id] = verdict
        _after_commit(runtime, db, verdict)
    if queued:
        _start_deliverer(runtime)
    return applied


def _write(db: Database, verdict: Verdict) -> Session | None:
    """Store a verdict if row and fuse are still the ones that were judged; None if not.

    A verdict keeps the revisions of what it judged. Inside BEGIN IMMEDIATE nobody else
    writes, so comparing first and writing after is one step, and a fuse that was extended
    meanwhile cannot fire.
    """
    session, fuse = verdict.session, verdict.fuse
    current, burning = sessions.get(db, session.id), fuses.for_session(db, session.id)
    if current is None or current.revision != session.revision:
        return None
    if fuse is not None and burning is not None:
        if (burning.id, burning.revision) != (fuse.id, fuse.revision):
            return None
        if burning != fuse:
            fuses.update(db, fuse)
    elif fuse is not burning:
        return None
    return current if session == current else sessions.update(db, session)


def _reread(db: Database, lost: Verdict) -> Verdict:
    """A row lost to another process is read again, not fought over."""
    current = sessions.get(db, lost.session.id)
    if current is None:
        return lost
    verdict = as_stored(current, fuses.for_session(db, current.id))
    return verdict._replace(reason=current.reason or lost.reason)


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
        append_event(runtime, db, AppendEvent("lock.expired", "its time limit has passed", data), None, now)


def _after_commit(runtime: Runtime, db: Database, verdict: Verdict) -> None:
    """What only the winner does, with no transaction open."""
    from agentctl.ops.reconcile import manifest, terminate

    session = verdict.session
    manifest.keep_in_step(runtime, db, session.id)
    for effect in verdict.effects:
        match effect:
            case Signal():
                terminate.send(session, effect)
            case Sweep():
                _hand_over(runtime, db, session.id)
            case _:
                pass


def _left_behind(runtime: Runtime, verdicts: Iterable[Verdict]) -> dict[str, Tree]:
    """What the sessions that a verdict wants swept have running now. No transaction is open yet."""
    found = {}
    for verdict in verdicts:
        if any(isinstance(effect, Sweep) for effect in verdict.effects):
            from agentctl.ops.reconcile import terminate

            session = verdict.session
            found[session.id] = terminate.tree(session, runtime.paths.session(session.id))
    return found


def _want_sweep(
    db: Database, session: Session, verdict: Verdict, left: Mapping[str, Tree], now: datetime
) -> None:
    for effect in verdict.effects:
        if isinstance(effect, Sweep):
            from agentctl.ops.reconcile import sweep

            sweep.want(db, session, effect, left[session.id], now)


def _hand_over(runtime: Runtime, db: Database, session_id: str) -> None:
    """Let a worker of its own sweep the session, if there is anything to sweep."""
    from agentctl.ops.reconcile import sweep

    with reading(db):
        is_wanted = session_id in sessions.unswept(db)
    if is_wanted:
        sweep.hand_over(runtime, session_id)


def _start_deliverer(runtime: Runtime) -> None:
    if runtime.delivers:
        return
    from agentctl.ops.reconcile.deliver import start_deliverer

    start_deliverer(runtime)
