"""Rows of sessions. Reads are shaped so that settled rows cost nothing; writes need a transaction.

Must not judge: which session is live, lost or due is the core's business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from datetime import datetime

from agentctl.core.model import Session, Status
from agentctl.store import codecs
from agentctl.store.db import Database, change, fetch, fetch_first, insert_row, update_row
from agentctl.store.migrations import SETTLED, UNSETTLED, UNSWEPT

_SELECT = f"SELECT {', '.join(codecs.SESSION_COLUMNS)} FROM sessions"

# Pinned: whatever the planner thinks of other indexes, settled rows must cost nothing.
_LIVE = f"INDEXED BY sessions_unsettled WHERE {UNSETTLED}"


def insert(db: Database, session: Session) -> None:
    """Add a tracked session, as it is."""
    if session.is_external:
        raise ValueError(f"session {session.id} is not tracked and has no row")
    insert_row(db, "sessions", codecs.session_to_row(session))


def update(db: Database, session: Session) -> Session | None:
    """Compare and set by `session.revision`: the row as it is now, or None if another was first."""
    won = update_row(db, "sessions", codecs.session_to_row(session))
    return session._replace(revision=session.revision + 1) if won else None


def get(db: Database, session_id: str) -> Session | None:
    return fetch_first(db, _decode, f"{_SELECT} WHERE id = ?", (session_id,))


def unsettled(db: Database) -> list[Session]:
    """Not final, or lingering; newest first. The cost depends on these rows only."""
    return fetch(db, _decode, f"{_SELECT} {_LIVE} ORDER BY created_at DESC")


def unswept(db: Database) -> list[str]:
    """Sessions that have been stopped, but whose other processes are not known to have ended."""
    sql = f"SELECT session_id FROM sweeps INDEXED BY sweeps_pending WHERE {UNSWEPT}"
    return fetch(db, _first, sql)


def recent(
    db: Database,
    *,
    since: datetime | None = None,
    limit: int | None = None,
    adapter: str | None = None,
    status: Status | None = None,
    group: str | None = None,
    name: str | None = None,
) -> list[Session]:
    """Settled sessions that ended at `since` or later, newest first, narrowed by what is given."""
    wanted = (
        ("ended_at >= ?", codecs.optional_instant(since)),
        ("adapter = ?", adapter),
        ("status = ?", status),
        ("group_id = CAST(? AS TEXT)", group),
        ("name = CAST(? AS TEXT)", name),
    )
    terms = [SETTLED, *(term for term, value in wanted if value is not None)]
    values: list[object] = [value for _, value in wanted if value is not None]
    # With an earliest ending, only rows that ended since are read and then sorted
    # (`+` keeps the planner from walking all of them in the order of creation).
    order = "created_at" if since is None else "+created_at"
    sql = f"{_SELECT} WHERE {' AND '.join(terms)} ORDER BY {order} DESC LIMIT ?"
    return fetch(db, _decode, sql, (*values, -1 if limit is None else limit))


def candidates(db: Database, text: str) -> list[Session]:
    """Whom a user may mean: id or native id starts with `text`, or the name is `text`; newest first."""
    if not text:
        return []
    lowered = text.lower()
    sql = f"""{_SELECT} WHERE id IN (
        SELECT id FROM sessions WHERE id >= CAST(? AS TEXT) AND id < CAST(? AS TEXT)
        UNION SELECT id FROM sessions WHERE native_id >= CAST(? AS TEXT) AND native_id < CAST(? AS TEXT)
        UNION SELECT id FROM sessions WHERE name = CAST(? AS TEXT)
    ) ORDER BY created_at DESC"""
    bounds = (lowered, _after(lowered), text, _after(text), text)
    return fetch(db, _decode, sql, bounds)


def in_group(db: Database, group: str) -> list[Session]:
    """Every session of a group, oldest first."""
    sql = f"{_SELECT} WHERE group_id = CAST(? AS TEXT) ORDER BY created_at, id"
    return fetch(db, _decode, sql, (group,))


def repositories(db: Database) -> list[str]:
    """Repositories in whose worktrees sessions have run."""
    return fetch(db, _first, "SELECT DISTINCT repo FROM sessions WHERE repo IS NOT NULL ORDER BY repo")


def in_worktrees(db: Database, repo: str) -> list[Session]:
    """Sessions that ran in worktrees of this repository, newest first."""
    sql = f"{_SELECT} WHERE repo = CAST(? AS TEXT) ORDER BY created_at DESC, id"
    return fetch(db, _decode, sql, (repo,))


def children(db: Database, parent_id: str) -> list[Session]:
    """Sessions that this one's agent launched, oldest first."""
    return fetch(db, _decode, f"{_SELECT} WHERE parent_id = ? ORDER BY created_at, id", (parent_id,))


def older_than(db: Database, ended_before: datetime) -> list[Session]:
    """Settled sessions that ended before this instant, oldest ending first."""
    sql = f"{_SELECT} WHERE {SETTLED} AND ended_at < ? ORDER BY ended_at"
    return fetch(db, _decode, sql, (codecs.instant(ended_before),))


def native_ids(db: Database, among: Collection[str]) -> set[str]:
    """Which of these native ids have a row, whatever its adapter; the number of other rows costs nothing.

    One conversation can have rows of two adapters: an agent that was led through ACP keeps it in its
    own store as well.
    """
    sql = """SELECT native_id FROM sessions
        WHERE native_id IN (SELECT value FROM json_each(?)) AND native_id IS NOT NULL"""
    return _among(db, sql, among)


def live_names(db: Database) -> dict[str, str]:
    """Name → id of the sessions that hold a name now."""
    sql = f"SELECT name, id FROM sessions {_LIVE} AND name IS NOT NULL"
    return dict(fetch(db, _pair, sql))


def known(db: Database, ids: Collection[str]) -> set[str]:
    """Which of `ids` have a row; the number of other rows costs nothing."""
    sql = "SELECT id FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
    return _among(db, sql, ids)


def _among(db: Database, sql: str, values: Collection[str]) -> set[str]:
    """What a query finds that takes a set of values as one parameter, a JSON array."""
    return set(fetch(db, _first, sql, (codecs.to_json(sorted(values)),)))


def has_adapter(db: Database, adapter: str) -> bool:
    """There is a row of this adapter, whether or not it is still installed."""
    return bool(fetch(db, _first, "SELECT id FROM sessions WHERE adapter = ? LIMIT 1", (adapter,)))


def all_ids(db: Database) -> set[str]:
    return set(fetch(db, _first, "SELECT id FROM sessions"))


def delete(db: Database, ids: Iterable[str]) -> int:
    """Forget sessions with their fuses, locks and finished deliveries; how many there were.

    Events stay, and so does what is still to be delivered.
    """
    chosen = codecs.ids(ids)
    change(
        db,
        "DELETE FROM outbox WHERE state = 'done' AND session_id IN (SELECT value FROM json_each(?))",
        (chosen,),
    )
    # Fuses and locks follow by their foreign keys.
    return change(db, "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?))", (chosen,))


def _decode(row: sqlite3.Row) -> Session:
    # Read by position: looking a column up by name is slow in a wide row.
    return codecs.session_from_columns(dict(zip(codecs.SESSION_COLUMNS, row, strict=True)))


def _after(prefix: str) -> str:
    """The end of the range of texts that start with `prefix`; no character sorts later."""
    return prefix + "\U0010ffff"


def _first(row: sqlite3.Row) -> str:
    return str(row[0])


def _pair(row: sqlite3.Row) -> tuple[str, str]:
    return row[0], row[1]
