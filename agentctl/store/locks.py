"""Rows of directory locks. Writes need a transaction.

Must not judge a conflict, an expiry or a stale holder: the caller reads
`holders` and inserts in one transaction.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from agentctl.core.ids import short
from agentctl.core.model import Lock, Session
from agentctl.store import codecs
from agentctl.store.db import Database, change, fetch, insert_row

_SELECT = "SELECT id, directory, holder, created_at, session_id, reason, expires_at FROM locks"


def acquire(
    db: Database,
    *,
    directory: str,
    holder: str,
    session_id: str | None,
    created_at: datetime,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> Lock:
    """Add a row, whoever else holds the directory."""
    row = {
        "directory": directory,
        "holder": holder,
        "created_at": codecs.instant(created_at),
        "session_id": session_id,
        "reason": reason,
        "expires_at": codecs.optional_instant(expires_at),
    }
    return Lock(
        id=insert_row(db, "locks", row),
        directory=directory,
        holder=holder,
        created_at=created_at,
        session_id=session_id,
        reason=reason,
        expires_at=expires_at,
    )


def acquire_for(db: Database, session: Session) -> Lock:
    """The lock that a session holds on its own directory."""
    return acquire(
        db,
        directory=session.cwd,
        holder=short(session.id),
        session_id=session.id,
        created_at=session.created_at,
    )


def holders(db: Database, directory: str) -> list[Lock]:
    """Every row of this very directory, oldest first."""
    sql = f"{_SELECT} WHERE directory = CAST(? AS TEXT) ORDER BY id"
    return fetch(db, _decode, sql, (directory,))


def all(db: Database) -> list[Lock]:  # noqa: A001
    """Every row, by directory, then age."""
    return fetch(db, _decode, f"{_SELECT} ORDER BY directory, id")


def release_session(db: Database, session_id: str) -> list[Lock]:
    """Free what this session holds and nothing else; the rows that were freed."""
    freed = fetch(db, _decode, f"{_SELECT} WHERE session_id = ? ORDER BY id", (session_id,))
    change(db, "DELETE FROM locks WHERE session_id = ?", (session_id,))
    return freed


def release(db: Database, lock_id: int) -> bool:
    """Free one row; whether it was there."""
    return change(db, "DELETE FROM locks WHERE id = ?", (lock_id,)) == 1


def _decode(row: sqlite3.Row) -> Lock:
    return Lock(
        id=row["id"],
        directory=row["directory"],
        holder=row["holder"],
        created_at=codecs.read_instant(row["created_at"]),
        session_id=row["session_id"],
        reason=row["reason"],
        expires_at=codecs.read_optional_instant(row["expires_at"]),
    )
