"""Stopping: persist the intention, signal, watch the ladder to its end, leave no process behind.

A session that ended by itself was not stopped: what it left running is named, and ended only
by force.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from agentctl.core.effects import Signal
from agentctl.core.ids import short
from agentctl.core.model import Outcome, Session, Status, StopCause, as_stored
from agentctl.core.requests import stop_asked
from agentctl.core.sweeping import Tree
from agentctl.errors import Locked, OperationFailed
from agentctl.host import process_tree, waiting
from agentctl.ops.found import Found
from agentctl.ops.reconcile import sweep, terminate
from agentctl.ops.reconcile.observe import has_ended, look
from agentctl.ops.reconcile.reconcile import commit, reconcile, record_end
from agentctl.ops.sessions.containers import end_container
from agentctl.ops.sessions.doubt import given_up, is_doubtful
from agentctl.ops.sessions.find import settled
from agentctl.runtime import Runtime
from agentctl.store import fuses, sessions, sweeps
from agentctl.store.db import Database, reading

BETWEEN_LOOKS = 0.05

ROUNDS = 5
"""How often sessions below a stopped one are looked for; each round finds those begun in the last."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """How to stop: `force` kills at once; `patience` replaces the wait before KILL."""

    force: bool = False
    patience: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """One session after the attempt, and its processes beside the agent."""

    found: Found
    ended: Tree = field(default_factory=dict)
    survivors: Tree = field(default_factory=dict)
    """What could not be ended."""
    strays: Tree = field(default_factory=dict)
    """What a session that ended by itself left running, and what was left alone."""
    was_over: bool = False
    container: str | None = None
    """Why a container of it may still run, where it started one."""
    is_stray: bool = False
    """It is the container of a session that ended by itself: named, and left alone."""

    @property
    def is_over(self) -> bool:
        """Nothing is left of it; an external session has no row that would say so."""
        return self.found.is_external or self.found.session.is_settled


@dataclass(slots=True)
class _Stopping:
    session: Session
    remembered: Tree = field(default_factory=dict)


def stop(runtime: Runtime, targets: Sequence[Found], request: StopRequest) -> list[Stopped]:
    """Stop every target side by side; a target that has already ended is not an error.

    Raises Locked for an external session whose process cannot be proved its own.
    """
    db = runtime.state
    for found in targets:
        if found.is_external:
            _refuse_unproved(found)
    live = [found.session for found in targets if not found.is_external and not found.session.is_settled]
    results = []
    with sweep.claimed(runtime, [session.id for session in live]) as claimed:
        stopping = {
            session.id: _ask(runtime, db, session, request) for session in live if not session.is_final
        }
        _watch(runtime, db, stopping.values())
        for found in targets:
            one = stopping.get(found.session.id)
            if found.is_external:
                results.append(_stop_external(found, request))
            elif one is not None:
                results.append(_finished(runtime, db, one, claimed, at_once=request.force))
            elif found.session.lingering:
                results.append(end_lingering(runtime, db, found.session))
            else:
                results.append(_already_over(runtime, db, found, at_once=request.force))
    return [_with_container(runtime, one, request) for one in results]


def _with_container(runtime: Runtime, stopped: Stopped, request: StopRequest) -> Stopped:
    session = stopped.found.session
    if stopped.found.is_external or not session.is_final:
        return stopped
    container = end_container(runtime, session, force=request.force)
    is_stray = session.stop_cause is StopCause.NONE and not request.force
    return replace(stopped, container=container, is_stray=is_stray)


def _already_over(runtime: Runtime, db: Database, found: Found, *, at_once: bool) -> Stopped:
    """Kills nothing unless by force: names what could not be ended before, and what was left behind."""
    session, files = found.session, runtime.paths.session(found.session.id)
    with reading(db):
        row = sweeps.get(db, session.id)
    if row is not None and row.kill_at is not None and row.done_at is None:
        ended = sweep.await_other(runtime, db, session, at_once=at_once)
        return Stopped(found, ended.ended, ended.survivors, was_over=True)
    survivors = {} if row is None else sweep.living(row.survivors)
    known = {} if row is None else row.targets
    strays = terminate.tree(session, files, remembered=known, by_mark=True)
    strays = {one: name for one, name in strays.items() if one not in survivors}
    if not at_once or not (strays or survivors):
        return Stopped(found, survivors=survivors, strays=strays, was_over=True)
    forced = terminate.finish(session, files, {**strays, **survivors})
    sweep.record(runtime, db, session, forced)
    return Stopped(found, forced.ended, forced.survivors, was_over=True)


def stop_trees(runtime: Runtime, targets: Sequence[Found], request: StopRequest) -> list[Stopped]:
    """Stop every target with the sessions that it launched, and those that they launched.

    Looked for again once all are stopped: an agent may have launched one more while it was ended.
    """
    results: dict[str, Stopped] = {}
    todo = list(targets)
    for _ in range(ROUNDS):
        for one in stop(runtime, _with_children(runtime, todo), request):
            results[one.found.session.id] = one
        late = _with_children(runtime, targets)
        todo = [one for one in late if not one.session.is_final and one.session.id not in results]
        if not todo:
            break
    return list(results.values())


def _with_children(runtime: Runtime, targets: Iterable[Found]) -> list[Found]:
    """The targets, each before all below it."""
    db = runtime.state
    found = {one.session.id: one for one in targets}
    waiting_for = list(found)
    while waiting_for:
        with reading(db):
            children = sessions.children(db, waiting_for.pop(0))
            burnt = fuses.for_sessions(db, [child.id for child in children])
        for child in children:
            if child.id not in found:
                found[child.id] = settled(runtime, child, burnt.get(child.id))
                waiting_for.append(child.id)
    return list(found.values())


def see_out(
    runtime: Runtime, db: Database, asked: Sequence[Session], claimed: Collection[str]
) -> list[Stopped]:
    """Watch sessions that are being stopped already (their fuse blew) until nothing is left of them.

    Only those that this process has `claimed` are swept by it.
    """
    stopping = [_Stopping(session, _tree(runtime, session)) for session in asked]
    _watch(runtime, db, stopping)
    return [_finished(runtime, db, one, claimed) for one in stopping]


def _ask(runtime: Runtime, db: Database, session: Session, request: StopRequest) -> _Stopping:
    """Look once more, then persist the request; a record of the end that is there by now wins."""
    remembered = _tree(runtime, session)
    while True:
        reconcile(runtime, db, only=[session.id], now=runtime.clock())
        with reading(db):
            current = sessions.get(db, session.id)
            fuse = fuses.for_session(db, session.id)
        if current is None or current.is_final:
            return _Stopping(current or session, remembered)
        lost = given_up(runtime, current, fuse) if request.force else None
        verdict = lost or stop_asked(
            current, fuse, runtime.clock(), force=request.force, patience=request.patience
        )
        if verdict.session == current and verdict.fuse == fuse:
            return _Stopping(current, remembered)
        stored = commit(runtime, db, verdict)
        if stored is not None:
            return _Stopping(stored, remembered)


def _watch(runtime: Runtime, db: Database, stopping: Iterable[_Stopping]) -> None:
    """Until each has ended: reconcile climbs the ladder as its times come."""
    waiting_for = {one.session.id: one for one in stopping if not one.session.is_final}
    if not waiting_for:
        return
    longest = max(_patience(one.session) for one in waiting_for.values())
    for _ in waiting.ticks(interval=BETWEEN_LOOKS, timeout=longest):
        for one in waiting_for.values():
            one.remembered |= _tree(runtime, one.session)
        reconciled = reconcile(runtime, db, only=waiting_for, now=runtime.clock())
        for verdict in reconciled.verdicts:
            waiting_for[verdict.session.id].session = verdict.session
        left = {verdict.session.id for verdict in reconciled.verdicts if not verdict.session.is_final}
        waiting_for = {key: one for key, one in waiting_for.items() if key in left}
        if not waiting_for:
            return


def _patience(session: Session) -> float:
    """Seconds in which a ladder must have worked, with time for the shim to record it."""
    return sum(rung.wait.total_seconds() for rung in session.ladder) + terminate.GONE_WITHIN


def _tree(runtime: Runtime, session: Session) -> Tree:
    return terminate.tree(session, runtime.paths.session(session.id))


def _finished(
    runtime: Runtime, db: Database, one: _Stopping, claimed: Collection[str], *, at_once: bool = False
) -> Stopped:
    with reading(db):
        session = sessions.get(db, one.session.id) or one.session
        fuse = fuses.for_session(db, session.id)
    found = settled(runtime, session, fuse)
    if not session.is_final:
        files = runtime.paths.session(session.id)
        return Stopped(found, survivors=terminate.tree(session, files, remembered=one.remembered))
    if session.id in claimed:
        ended = sweep.sweep(runtime, db, session, one.remembered, at_once=at_once)
    else:
        ended = sweep.await_other(runtime, db, session, at_once=at_once)
    return Stopped(found, ended.ended, ended.survivors)


def end_lingering(runtime: Runtime, db: Database, session: Session) -> Stopped:
    """End the process that an unlisted session left; its row then loses its lingering."""
    files = runtime.paths.session(session.id)
    if is_doubtful(runtime, session):
        with reading(db):
            return Stopped(settled(runtime, session, fuses.for_session(db, session.id)))

    def is_over() -> bool:
        seen = look(session, files)
        return seen.exit is not None or terminate.is_gone(session)

    remembered = _tree(runtime, session)
    for rung in session.ladder:
        terminate.send(session, Signal(rung.signal))
        if waiting.poll(is_over, timeout=rung.wait.total_seconds()):
            break
    ended = sweep.sweep(runtime, db, session, remembered)
    waiting.poll(lambda: has_ended(session, files), timeout=terminate.GONE_WITHIN)
    record_end(runtime, db, session.id)
    with reading(db):
        current = sessions.get(db, session.id) or session
        fuse = fuses.for_session(db, session.id)
    return Stopped(settled(runtime, current, fuse), ended.ended, ended.survivors)


def _refuse_unproved(found: Found) -> None:
    session = found.session
    if session.status in (Status.STOPPED, Status.ERROR) or session.pid is not None:
        return
    raise Locked(
        f"session {short(session.id)} was not launched by agentctl, and no process is proved to be its own:"
        f" {found.reason}",
        hint="end it where it was started",
    )


def _stop_external(found: Found, request: StopRequest) -> Stopped:
    """The one process that was proved to be its own: no group, no tree."""
    session = found.session
    agent = terminate.agent_of(session)
    if agent is None:
        return Stopped(found, was_over=True)
    rungs = session.ladder[-1:] if request.force else session.ladder
    for rung in rungs:
        terminate.send_alone(agent, rung.signal)
        wait = rung.wait if request.patience is None else request.patience
        if waiting.poll(lambda: not process_tree.alive([agent]), timeout=wait.total_seconds()):
            return Stopped(_ended_outside(found))
    raise OperationFailed(f"process {agent.pid} of session {short(session.id)} could not be ended")


def _ended_outside(found: Found) -> Found:
    """The session as it is now; what was found earlier is no longer true."""
    reason = f"its process {found.session.pid} was ended on request"
    session = found.session._replace(
        status=Status.STOPPED, outcome=Outcome.CANCELLED, reason=reason, pid=None, start_token=None
    )
    return found._replace(verdict=as_stored(session))
