"""The ledger: append-only, outlives the sessions. Appending needs a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from agentctl.core.ledger import Event
from agentctl.store import codecs
from agentctl.store.db import Database, fetch, insert_row

_SELECT = "SELECT cursor, type, session_id, at, actor, reason, data FROM events"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def append(
    db: Database,
    *,
    type: str,  # noqa: A002
    session_id: str | None,
    at: datetime,
    actor: str,
    reason: str | None,
    data: Mapping[str, Any] = _NOTHING,
) -> int:
    """Add a line; its cursor, greater than any before it."""
    row = {
        "type": type,
        "session_id": session_id,
        "at": codecs.instant(at),
        "actor": actor,
        "reason": reason,
        "data": codecs.mapping(data),
    }
    return insert_row(db, "events", row)


def since(
    db: Database, cursor: int, *, limit: int, types: Sequence[str] = (), session_id: str | None = None
) -> list[Event]:
    """Up to `limit` lines after `cursor`, oldest first, of these types and this session if given."""
    terms = ["cursor > ?"]
    parameters: list[object] = [cursor]
    if types:
        terms.append(f"type IN ({', '.join('?' * len(types))})")
        parameters.extend(types)
    if session_id is not None:
        terms.append("session_id = ?")
        parameters.append(session_id)
    sql = f"{_SELECT} WHERE {' AND '.join(terms)} ORDER BY cursor LIMIT ?"
    return fetch(db, _decode, sql, (*parameters, limit))


def has_type(db: Database, type_: str) -> bool:
    """There is a line of this type; all are walked where there is none."""
    return bool(fetch(db, _number, "SELECT cursor FROM events WHERE type = ? LIMIT 1", (type_,)))


def cursor_at(db: Database, at: datetime) -> int:
    """The cursor after which no line of `at` or later is missed.

    An ending may be recorded late, with its own time; so it is the first line at
    or after the instant that counts, not the last before it.
    """
    sql = "SELECT min(cursor) FROM events INDEXED BY events_at WHERE at >= ?"
    first = fetch(db, _number, sql, (codecs.instant(at),))[0]
    return first - 1 if first else last_cursor(db)


def last_cursor(db: Database) -> int:
    """The newest line's cursor; 0 for an empty ledger."""
    return fetch(db, _number, "SELECT max(cursor) FROM events")[0]


def _number(row: sqlite3.Row) -> int:
    return int(row[0] or 0)


def _decode(row: sqlite3.Row) -> Event:
    return Event(
        cursor=row["cursor"],
        type=row["type"],
        session_id=row["session_id"],
        at=codecs.read_instant(row["at"]),
        actor=row["actor"],
        reason=row["reason"],
        data=codecs.read_mapping(row["data"]),
    )
