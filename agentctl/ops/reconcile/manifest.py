"""`session.json`: enough of a row, beside the session's other files, to rebuild it.

Written by whoever won a transition. A damaged database therefore loses nothing.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from math import ceil

from agentctl.core.model import Fuse, FuseAction, FuseState, Session
from agentctl.host.files import read_small, write_private
from agentctl.runtime import Runtime
from agentctl.store import codecs, fuses, sessions
from agentctl.store.db import Database, reading

SCHEMA = 1
LIMIT = 64 * 1024 * 1024

EARLY = timedelta(seconds=2)
"""How much sooner than the exact instant a timer may call."""


def write(runtime: Runtime, session: Session, fuse: Fuse | None) -> None:
    """Write the manifest and the timer's fuse file.

    A failure loses nothing now: the row is the truth, and the next transition writes again.
    """
    files = runtime.paths.session(session.id)
    document = {
        "schema_version": SCHEMA,
        "session": codecs.session_to_row(session),
        "fuse": None if fuse is None else codecs.fuse_to_row(fuse),
    }
    try:
        write_private(files.manifest, json.dumps(document).encode())
        write_private(files.fuse, _timer_line(fuse))
    except OSError:
        return


def keep_in_step(runtime: Runtime, db: Database, session_id: str) -> None:
    """Bring the files beside a session in step with its rows, whoever else is at it.

    Looked at again after the writing: the last to write has seen that nothing changed since,
    so an older deadline cannot stay in the timer's file.
    """
    written = None
    while True:
        with reading(db):
            session, fuse = sessions.get(db, session_id), fuses.for_session(db, session_id)
        if session is None or (session, fuse) == written:
            return
        write(runtime, session, fuse)
        written = (session, fuse)


def next_instant(fuse: Fuse | None) -> datetime | None:
    """When something is to be decided: the warning, else the deadline of a fuse that stops."""
    if fuse is None or fuse.state is not FuseState.ARMED:
        return None
    instants = [fuse.deadline] if fuse.action is FuseAction.STOP else []
    if fuse.warn_at is not None:
        instants.append(fuse.warn_at)
    return min(instants, default=None)


def _timer_line(fuse: Fuse | None) -> bytes:
    """What the shim's timer waits for: epoch seconds, or `-` for nothing.

    The first line is the next instant at which to call agentctl. The timer has a clock of whole
    seconds and sleeps for whole ones, so it may come a second late. It is told a time that is
    early enough for that, and what it then calls waits for the exact instant.

    The second is the deadline at which it ends the agent itself if agentctl cannot be called:
    never before it.
    """
    instant = next_instant(fuse)
    first = "-" if instant is None else str(int(instant.timestamp() // 1 - 1))
    stops = fuse is not None and fuse.state is FuseState.ARMED and fuse.action is FuseAction.STOP
    second = str(ceil(fuse.deadline.timestamp())) if fuse is not None and stops else "-"
    return f"{first}\n{second}\n".encode("ascii")


def read(runtime: Runtime, session_id: str) -> tuple[Session, Fuse | None] | None:
    """The row as last written, None where there is no manifest or it cannot be read."""
    try:
        raw = read_small(runtime.paths.session(session_id).manifest, LIMIT)
        document = json.loads(raw or b"null")
        fuse = document["fuse"]
        return (
            codecs.session_from_row(document["session"]),
            None if fuse is None else codecs.fuse_from_row(fuse),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
