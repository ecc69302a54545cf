"""The sweep: ending what a stopped session left running, whoever is killed meanwhile.

What is to be ended is a row, written in the transaction that ends the session. One worker at
a time does the work, holding a lock; the row is done when nothing is left, or when what is
left cannot be ended. A worker that was killed leaves the lock free and the row not done, so
the next invocation goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from agentctl.core import variables
from agentctl.core.effects import AppendEvent, Sweep
from agentctl.core.model import Held, Session
from agentctl.core.sweeping import PendingSweep, Tree
from agentctl.host import flock, process_tree, spawn, waiting
from agentctl.host.paths import SessionFiles
from agentctl.ops.reconcile import terminate
from agentctl.ops.reconcile.effects import append_event
from agentctl.ops.reconcile.terminate import AT_LEAST, Ended
from agentctl.runtime import Runtime
from agentctl.store import sessions, sweeps
from agentctl.store.db import Database, reading, transaction


def claim(files: SessionFiles) -> int | None:
    """Hold the right to sweep a session until the descriptor is closed; None if another has it."""
    with suppress(OSError):
        return flock.try_hold(files.sweep)
    return None


@contextmanager
def claimed(runtime: Runtime, ids: Iterable[str]) -> Iterator[frozenset[str]]:
    """Inside, this process sweeps these sessions, but for those that another one sweeps already.

    Claimed before the first signal, so that whoever records the end leaves the rest to us.
    """
    files = {session_id: runtime.paths.session(session_id) for session_id in ids}
    claims = {session_id: claim(one) for session_id, one in files.items()}
    held = {session_id: descriptor for session_id, descriptor in claims.items() if descriptor is not None}
    try:
        with terminate.declared(files.values()):
            yield frozenset(held)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def want(db: Database, session: Session, effect: Sweep, left: Tree, now: datetime) -> None:
    """In the transaction that ends a session: what is to be ended after it."""
    known = sweeps.get(db, session.id)
    targets = {**(known.targets if known is not None else {}), **left}
    if not targets:
        return
    wanted = PendingSweep(session.id, targets, kill_at=now, term_at=now)
    if not effect.at_once:
        kill_at = max(now + timedelta(seconds=AT_LEAST), effect.patience_until or now)
        wanted = wanted._replace(kill_at=kill_at, term_at=None)
    sweeps.put(db, wanted)


def remember(db: Database, session_id: str, targets: Tree) -> None:
    """In a transaction: processes that belong to a session although nothing leads from it to them."""
    sweeps.put(db, PendingSweep(session_id, targets))


def hand_over(runtime: Runtime, session_id: str) -> None:
    """Start a detached worker, unless a worker has claimed the session."""
    if flock.probe(runtime.paths.session(session_id).sweep) is not Held.YES:
        environ = {**runtime.environ, variables.SHIM: session_id}
        spawn.forget(spawn.start_agentctl(["_sweep", session_id], environ))


def finish_pending(runtime: Runtime, db: Database) -> list[Ended]:
    """Do the work that workers left when they were killed."""
    done = []
    with reading(db):
        ids = sessions.unswept(db)
    for session_id in ids:
        ended = work(runtime, db, session_id)
        if ended is not None:
            done.append(ended)
    return done


def work(runtime: Runtime, db: Database, session_id: str) -> Ended | None:
    """Sweep one session; None where another process does, or where there is no such session."""
    files = runtime.paths.session(session_id)
    with reading(db):
        session = sessions.get(db, session_id)
    held = None if session is None else claim(files)
    if session is None or held is None:
        return None
    try:
        return sweep(runtime, db, session)
    finally:
        os.close(held)


def await_other(runtime: Runtime, db: Database, session: Session, *, at_once: bool) -> Ended:
    """What became of the sweep that another process has claimed; if that one is killed, our own."""
    ended: Ended | None = None
    if at_once:
        terminate.finish(session, runtime.paths.session(session.id))

    def is_over() -> bool:
        nonlocal ended
        with reading(db):
            row = sweeps.get(db, session.id)
        if row is not None and row.done_at is not None:
            ended = Ended(row.ended, living(row.survivors))
        else:
            ended = work(runtime, db, session.id)
        return ended is not None

    waiting.poll(is_over, timeout=waiting.FOREVER, first=0.02)
    return ended or Ended({}, {})


def sweep(
    runtime: Runtime, db: Database, session: Session, remembered: Tree | None = None, *, at_once: bool = False
) -> Ended:
    """End all that is left of a session, and record what was ended and what could not be.

    For the process that has claimed the session.
    """
    files, now = runtime.paths.session(session.id), runtime.clock()
    with reading(db):
        row = sweeps.get(db, session.id)
    if row is not None and row.done_at is not None:
        return Ended(row.ended, living(row.survivors))
    known = {**(row.targets if row is not None else {}), **(remembered or {})}
    left = terminate.tree(session, files, remembered=known)
    if not left and row is None:
        return Ended({}, {})
    patience = _patience(row, now, at_once=at_once)
    if left:
        kill_at = now + timedelta(seconds=patience)
        asked = PendingSweep(session.id, {**known, **left}, kill_at=kill_at, term_at=now)
        with transaction(db):
            sweeps.put(db, asked)
    ended = terminate.end_all(
        lambda seen: terminate.tree(session, files, remembered=seen), {**known, **left}, patience
    )
    agent = terminate.agent_of(session)
    ended = ended._replace(ended={one: name for one, name in ended.ended.items() if one != agent})
    record(runtime, db, session, ended)
    return ended


def _patience(row: PendingSweep | None, now: datetime, *, at_once: bool) -> float:
    """Seconds until KILL. Who was never asked has time to answer, unless nobody wants to wait."""
    if at_once:
        return 0.0
    if row is None or row.kill_at is None:
        return AT_LEAST
    remaining = max((row.kill_at - now).total_seconds(), 0.0)
    return remaining if row.term_at is not None else max(remaining, AT_LEAST)


def record(runtime: Runtime, db: Database, session: Session, ended: Ended) -> None:
    """The sweep is done: what it ended, and what is remembered because it could not be ended."""
    now = runtime.clock()
    done = PendingSweep(
        session.id, {}, kill_at=now, term_at=now, done_at=now, ended=ended.ended, survivors=ended.survivors
    )
    with transaction(db):
        sweeps.put(db, done)
        if ended.ended or ended.survivors:
            append_event(runtime, db, _event(ended), session.id, now)


def _event(ended: Ended) -> AppendEvent:
    reason = "what the agent had started was ended"
    if ended.survivors:
        reason = "some processes that the agent had started could not be ended"
    data = {"ended": _named(ended.ended), "survivors": _named(ended.survivors)}
    return AppendEvent("session.swept", reason, data)


def _named(targets: Tree) -> list[dict[str, object]]:
    return [{"pid": one.pid, "command": name} for one, name in targets.items()]


def living(targets: Tree) -> Tree:
    living = process_tree.alive(targets)
    return {one: name for one, name in targets.items() if one in living}
