"""Sessions of which nobody can say whether they live: another machine's, or what cannot be read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from agentctl.core.decide import give_up
from agentctl.core.ids import short
from agentctl.core.model import Fuse, Liveness, Observation, Session, StopCause, Verdict
from agentctl.ops.reconcile.observe import look
from agentctl.runtime import Runtime
from agentctl.store import sessions
from agentctl.store.db import Database, reading


def is_doubtful(runtime: Runtime, session: Session) -> bool:
    """Its end is not on file, and neither a lock nor a process says whether it lives."""
    return _in_doubt(runtime, session) is not None


def _in_doubt(runtime: Runtime, session: Session) -> Observation | None:
    """What was seen of a session if that says nothing; None if somebody can say what became of it."""
    seen = look(session, runtime.paths.session(session.id))
    return seen if seen.exit is None and seen.liveness is Liveness.UNKNOWN else None


def is_given_up(session: Session) -> bool:
    """A user has given it up, and it still holds its directory."""
    return session.lingering and session.stop_cause is StopCause.GIVEN_UP


def given_up(runtime: Runtime, session: Session, fuse: Fuse | None) -> Verdict | None:
    """The end of a session that a user gives up; None if somebody can say what became of it."""
    seen = _in_doubt(runtime, session)
    return None if seen is None else give_up(session, fuse, seen, runtime.clock())


def way_out(runtime: Runtime, session: Session, otherwise: str) -> str:
    """The hint at a session that is in the way; `otherwise` where it will end like any other."""
    if is_given_up(session):
        return unlocking(session)
    return _giving_up(session) if is_doubtful(runtime, session) else otherwise


def _giving_up(session: Session) -> str:
    return f"agentctl cannot tell whether it lives: agentctl stop --force {short(session.id)} gives it up"


def unlocking(session: Session) -> str:
    return f"agentctl unlock {shlex.quote(session.cwd)} frees its directory"


def doubtful(runtime: Runtime, db: Database) -> Iterator[tuple[str, str]]:
    """What is in doubt about live and lingering sessions, and what to do about it."""
    with reading(db):
        rows = sessions.unsettled(db)
    for row in rows:
        seen = _in_doubt(runtime, row)
        if seen is None:
            continue
        what, hint = "may live or not", _giving_up(row)
        if is_given_up(row):
            what, hint = "was given up", unlocking(row)
        yield f"session {short(row.id)} {what}: {seen.evidence}", hint
