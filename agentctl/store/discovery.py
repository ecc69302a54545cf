"""What was read of agents' own files, kept by (path, mtime, size). Writes need a transaction.

A cache: losing it costs time only. Must not know what a payload says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from agentctl.store import codecs
from agentctl.store.db import Database, change, fetch


class Cached(NamedTuple):
    """A file as it was when `payload` was read from it."""

    mtime_ns: int
    size: int
    payload: str


def get(db: Database, adapter: str, *, since_ns: int = 0) -> dict[str, Cached]:
    """Path → what is kept of it, for one adapter; of files that have changed since then."""
    sql = "SELECT path, mtime_ns, size, payload FROM discovery WHERE adapter = ? AND mtime_ns >= ?"
    return dict(fetch(db, _decode, sql, (adapter, since_ns)))


def put(db: Database, adapter: str, path: str, mtime_ns: int, size: int, payload: str) -> None:
    """Keep a file's payload, in place of an older one."""
    sql = """INSERT INTO discovery (adapter, path, mtime_ns, size, payload)
        VALUES (?, CAST(? AS TEXT), ?, ?, CAST(? AS TEXT))
        ON CONFLICT (adapter, path) DO UPDATE SET
        mtime_ns = excluded.mtime_ns, size = excluded.size, payload = excluded.payload"""
    change(db, sql, (adapter, codecs.text(path), mtime_ns, size, codecs.text(payload)))


def drop(db: Database, adapter: str, paths: Iterable[str]) -> int:
    """Forget files that have gone; how many were known."""
    sql = "DELETE FROM discovery WHERE adapter = ? AND path = CAST(? AS TEXT)"
    return sum(change(db, sql, (adapter, codecs.text(path))) for path in paths)


def _decode(row: sqlite3.Row) -> tuple[str, Cached]:
    return row[0], Cached(row[1], row[2], row[3])
