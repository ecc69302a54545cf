"""Rows of fuses: deadlines of sessions and directories. Writes need a transaction.

Must not judge whether a fuse is due; `Fuse.is_due` and the core do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from agentctl.core.model import Fuse
from agentctl.store import codecs
from agentctl.store.db import Database, fetch, fetch_first, insert_row, update_row

_SELECT = f"SELECT {', '.join(codecs.FUSE_COLUMNS)} FROM fuses"

# Two fuses of one instant: the one inserted later is the newer.
_OLDEST_FIRST = "ORDER BY created_at, rowid"
_NEWEST_FIRST = "ORDER BY created_at DESC, rowid DESC"


def insert(db: Database, fuse: Fuse) -> None:
    insert_row(db, "fuses", codecs.fuse_to_row(fuse))


def update(db: Database, fuse: Fuse) -> Fuse | None:
    """Compare and set by `fuse.revision`: the row as it is now, or None if another was first."""
    won = update_row(db, "fuses", codecs.fuse_to_row(fuse))
    return fuse._replace(revision=fuse.revision + 1) if won else None


def get(db: Database, fuse_id: str) -> Fuse | None:
    return fetch_first(db, _decode, f"{_SELECT} WHERE id = ?", (fuse_id,))


def for_session(db: Database, session_id: str) -> Fuse | None:
    """The session's newest fuse, in whatever state."""
    sql = f"{_SELECT} WHERE session_id = ? {_NEWEST_FIRST} LIMIT 1"
    return fetch_first(db, _decode, sql, (session_id,))


def for_sessions(db: Database, ids: Iterable[str]) -> dict[str, Fuse]:
    """Session id → its newest fuse, by one query; sessions without one are absent."""
    sql = f"{_SELECT} WHERE session_id IN (SELECT value FROM json_each(?)) {_OLDEST_FIRST}"
    rows = fetch(db, _decode, sql, (codecs.ids(ids),))
    return {fuse.session_id: fuse for fuse in rows if fuse.session_id is not None}


def armed(db: Database) -> list[Fuse]:
    """Every armed fuse, the nearest deadline first."""
    return fetch(db, _decode, f"{_SELECT} WHERE state = 'armed' ORDER BY deadline")


def armed_for_directory(db: Database, directory: str) -> list[Fuse]:
    """Armed free timers of this directory, the nearest deadline first."""
    sql = f"{_SELECT} WHERE state = 'armed' AND directory = CAST(? AS TEXT) ORDER BY deadline"
    return fetch(db, _decode, sql, (directory,))


def all(db: Database, include_ended: bool = False) -> list[Fuse]:  # noqa: A001
    """Armed fuses, or with `include_ended` every one; newest first."""
    where = "" if include_ended else "WHERE state = 'armed'"
    return fetch(db, _decode, f"{_SELECT} {where} {_NEWEST_FIRST}")


def _decode(row: sqlite3.Row) -> Fuse:
    return codecs.fuse_from_row(dict(zip(codecs.FUSE_COLUMNS, row, strict=True)))
