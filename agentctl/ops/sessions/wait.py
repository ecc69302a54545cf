"""Waiting for sessions to end, and what their endings mean together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentctl.core.model import Life, Liveness, Outcome, Status
from agentctl.errors import NotFound
from agentctl.host import processes, waiting
from agentctl.ops.found import Found
from agentctl.ops.reconcile.observe import look
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.ops.sessions.find import settled
from agentctl.runtime import Runtime
from agentctl.store import fuses, sessions
from agentctl.store.db import reading

BETWEEN_LOOKS = 0.1
LOOKS_PER_RECONCILE = 10
LOOKS_PER_LISTING = 50
"""The agents' own stores are asked every five seconds: reading them costs the most."""

SUCCEEDED, FAILED, LOST, GAVE_UP = 0, 1, 4, 124


@dataclass(frozen=True, slots=True)
class Waited:
    """The sessions as they are at the end of the wait; `gave_up` if its time ran out first."""

    found: tuple[Found, ...]
    gave_up: bool
    winner: Found | None = None
    """The first that succeeded, where that was waited for."""

    @property
    def exit_code(self) -> int:
        """0 all succeeded, 1 any that neither succeeded nor was lost, else 4; 124 gave up."""
        if self.gave_up:
            return GAVE_UP
        if self.winner is not None:
            return SUCCEEDED
        outcomes = {one.session.outcome for one in self.found if one.session.is_final}
        if outcomes - {Outcome.SUCCEEDED, Outcome.LOST}:
            return FAILED
        return LOST if Outcome.LOST in outcomes else SUCCEEDED


def wait(
    runtime: Runtime,
    targets: Sequence[Found],
    *,
    any_of_them: bool = False,
    first_success: bool = False,
    timeout: timedelta | None = None,
) -> Waited:
    """Wait until all have ended (or the first, with `any_of_them`), at most `timeout`.

    With `first_success` until one has succeeded, or all have ended otherwise.

    A look costs three small reads a session; the state is only written when one has ended
    or a deadline has come. A session that ends while it still lingers counts as ended.
    """
    current = {one.session.id: one for one in targets}
    limit = waiting.FOREVER if timeout is None else timeout.total_seconds()
    for number, _ in enumerate(waiting.ticks(interval=BETWEEN_LOOKS, timeout=limit)):
        thorough = number % LOOKS_PER_RECONCILE == 0
        asks_stores = number % LOOKS_PER_LISTING == 0
        for session_id, one in current.items():
            current[session_id] = _look_again(runtime, one, thorough=thorough, asks_stores=asks_stores)
        over = [one for one in current.values() if is_over(one)]
        winner = _winner(over) if first_success else None
        if winner is not None:
            return Waited(tuple(current.values()), gave_up=False, winner=winner)
        if len(over) == len(current) or (any_of_them and over):
            return Waited(tuple(over if any_of_them else current.values()), gave_up=False)
    return Waited(tuple(current.values()), gave_up=True)


def _winner(over: Sequence[Found]) -> Found | None:
    """Of those that succeeded the one that ended first."""
    good = [one for one in over if one.session.outcome is Outcome.SUCCEEDED]
    return min(good, key=lambda one: one.session.ended_at or one.session.created_at, default=None)


def is_over(one: Found) -> bool:
    """Final; an external session counts as ended once it is idle or its process has gone."""
    if one.is_external:
        return one.session.status not in (Status.RUNNING, Status.STARTING)
    return one.session.is_final


def _look_again(runtime: Runtime, one: Found, *, thorough: bool, asks_stores: bool) -> Found:
    """The session now. Without `thorough`, a session that is plainly still running is not judged again."""
    if is_over(one):
        return one
    if one.is_external:
        is_due = asks_stores or (thorough and not _goes_on(one))
        return _look_outside(runtime, one) if is_due else one
    now = runtime.clock()
    if not thorough and _is_at_work(runtime, one, now):
        return one
    session = one.session
    db = runtime.readable_state
    for verdict in reconcile(runtime, db, only=[session.id], now=now).verdicts:
        return one._replace(verdict=verdict)
    with reading(db):
        current = sessions.get(db, session.id)
        fuse = fuses.for_session(db, session.id)
    if current is None:
        raise NotFound(f"session {session.id} was pruned while it was waited for")
    return settled(runtime, current, fuse)


def _goes_on(one: Found) -> bool:
    """The process of an external session is there; whether its turn is over only its agent's store tells."""
    session = one.session
    return session.pid is not None and processes.look(session.pid, session.start_token) is Life.ALIVE


def _is_at_work(runtime: Runtime, one: Found, now: datetime) -> bool:
    session, fuse = one.session, one.fuse
    if session.pid is None or (fuse is not None and fuse.is_due(now)):
        return False
    if session.stop_escalate_at is not None and now >= session.stop_escalate_at:
        return False
    seen = look(session, runtime.paths.session(session.id))
    return seen.exit is None and seen.liveness is Liveness.ALIVE


def _look_outside(runtime: Runtime, one: Found) -> Found:
    from agentctl.ops.external.sessions import external_sessions

    for other in external_sessions(runtime, runtime.readable_state, adapter=one.session.adapter):
        if other.session.id == one.session.id:
            return other
    raise NotFound(f"session {one.session.id} has left its agent's store while it was waited for")
