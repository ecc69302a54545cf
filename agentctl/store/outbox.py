"""Rows of hooks to run and webhooks to post. Writes need a transaction.

Delivered at least once: a claim that expires with its deliverer is claimed
again. Must not run, post or decide when to try again.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import TYPE_CHECKING

from agentctl.store import codecs
from agentctl.store.db import Database, change, fetch

if TYPE_CHECKING:
    from agentctl.core.ledger import Delivery

_SELECT = """SELECT id, kind, name, target, event_id, payload, created_at, session_id, state, attempts,
    next_attempt_at, claimed_until, delivered_at, last_error, output FROM outbox"""

# Bind `now` twice.
_DUE = """state = 'pending' AND (next_attempt_at IS NULL OR next_attempt_at <= ?)
    AND (claimed_until IS NULL OR claimed_until <= ?)"""


def enqueue(db: Database, delivery: Delivery) -> int:
    """Queue a delivery, due at once; its id. The same one queued twice stays one row."""
    key = (delivery.event_id, delivery.kind, codecs.text(delivery.name), codecs.text(delivery.target))
    change(
        db,
        """INSERT INTO outbox (event_id, kind, name, target, payload, created_at, session_id)
        VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?)
        ON CONFLICT (event_id, kind, name, target) DO NOTHING""",
        (*key, codecs.mapping(delivery.payload), codecs.instant(delivery.created_at), delivery.session_id),
    )
    sql = """SELECT id FROM outbox
        WHERE event_id = ? AND kind = ? AND name = CAST(? AS TEXT) AND target = CAST(? AS TEXT)"""
    return fetch(db, _number, sql, key)[0]


def due(db: Database, now: datetime) -> list[Delivery]:
    """What may be tried now and is not claimed by a living deliverer; oldest first."""
    return fetch(db, _decode, f"{_SELECT} WHERE {_DUE} ORDER BY id", _twice(now))


def count_due(db: Database, now: datetime) -> int:
    """How many `due` would find, without reading them."""
    return fetch(db, _number, f"SELECT count(*) FROM outbox WHERE {_DUE}", _twice(now))[0]


def claim(db: Database, delivery_id: int, *, now: datetime, until: datetime) -> Delivery | None:
    """Compare and set: take a due delivery until an instant; None if another has it or it is done.

    The attempt counts from here, so one that ends its deliverer is counted too.
    """
    sql = f"UPDATE outbox SET claimed_until = ?, attempts = attempts + 1 WHERE id = ? AND {_DUE}"
    if change(db, sql, (codecs.instant(until), delivery_id, *_twice(now))) != 1:
        return None
    return fetch(db, _decode, f"{_SELECT} WHERE id = ?", (delivery_id,))[0]


def finish(db: Database, delivery_id: int, *, delivered_at: datetime, output: str | None) -> bool:
    """Record a delivery that arrived; whether the row was there."""
    sql = """UPDATE outbox SET state = 'done', delivered_at = ?, output = CAST(? AS TEXT),
        claimed_until = NULL, next_attempt_at = NULL, last_error = NULL WHERE id = ?"""
    return change(db, sql, (codecs.instant(delivered_at), codecs.text(output), delivery_id)) == 1


def fail(
    db: Database, delivery_id: int, *, error: str, output: str | None, next_attempt_at: datetime | None
) -> bool:
    """Record a failed attempt, to be tried again or (None) given up; False if it is done meanwhile."""
    state = "failed" if next_attempt_at is None else "pending"
    sql = """UPDATE outbox SET state = ?, last_error = CAST(? AS TEXT), output = CAST(? AS TEXT),
        next_attempt_at = ?, claimed_until = NULL WHERE id = ? AND state <> 'done'"""
    later = codecs.optional_instant(next_attempt_at)
    return change(db, sql, (state, codecs.text(error), codecs.text(output), later, delivery_id)) == 1


def retry(db: Database, delivery_id: int, now: datetime) -> bool:
    """Make an undelivered row due at once; whether it was one. Attempts are kept.

    A row that a deliverer is working on is left to it.
    """
    sql = """UPDATE outbox SET state = 'pending', next_attempt_at = NULL, claimed_until = NULL
        WHERE id = ? AND state <> 'done' AND (claimed_until IS NULL OR claimed_until <= ?)"""
    return change(db, sql, (delivery_id, codecs.instant(now))) == 1


def park(db: Database, delivery_id: int, reason: str) -> bool:
    """Put a claimed delivery aside until somebody has its values; it does not count as an attempt."""
    sql = """UPDATE outbox SET state = 'waiting', last_error = ?, attempts = attempts - 1,
        claimed_until = NULL, next_attempt_at = NULL WHERE id = ? AND state <> 'done'"""
    return change(db, sql, (reason, delivery_id)) == 1


def waiting(db: Database) -> list[Delivery]:
    """What `park` has put aside; oldest first."""
    return fetch(db, _decode, f"{_SELECT} WHERE state = 'waiting' ORDER BY id", ())


def list_all(
    db: Database, *, failed_only: bool = False, session_id: str | None = None, limit: int | None = None
) -> list[Delivery]:
    """Deliveries in every state, or those given up; newest first."""
    terms, parameters = ["1"], list[object]()
    if failed_only:
        terms.append("state = 'failed'")
    if session_id is not None:
        terms.append("session_id = ?")
        parameters.append(session_id)
    sql = f"{_SELECT} WHERE {' AND '.join(terms)} ORDER BY id DESC LIMIT ?"
    return fetch(db, _decode, sql, (*parameters, -1 if limit is None else limit))


def _twice(now: datetime) -> tuple[str, str]:
    text = codecs.instant(now)
    return text, text


def _number(row: sqlite3.Row) -> int:
    return int(row[0])


def _decode(row: sqlite3.Row) -> Delivery:
    from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState

    return Delivery(
        id=row["id"],
        kind=DeliveryKind(row["kind"]),
        name=row["name"],
        target=row["target"],
        event_id=row["event_id"],
        payload=codecs.read_mapping(row["payload"]),
        created_at=codecs.read_instant(row["created_at"]),
        session_id=row["session_id"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        next_attempt_at=codecs.read_optional_instant(row["next_attempt_at"]),
        claimed_until=codecs.read_optional_instant(row["claimed_until"]),
        delivered_at=codecs.read_optional_instant(row["delivered_at"]),
        last_error=row["last_error"],
        output=row["output"],
    )
