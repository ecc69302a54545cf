"""Totals that survive `prune`, for metrics. Incrementing needs a transaction."""

from __future__ import annotations

import sqlite3

from agentctl.store.db import Database, change, fetch


def increment(db: Database, name: str, by: int = 1) -> None:
    """Add to a counter, which starts at 0."""
    sql = """INSERT INTO counters (name, value) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"""
    change(db, sql, (name, by))


def raise_to(db: Database, name: str, value: int) -> None:
    """Make a counter at least this; one that is higher stays."""
    sql = """INSERT INTO counters (name, value) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"""
    change(db, sql, (name, value))


def all(db: Database) -> dict[str, int]:  # noqa: A001
    """Every counter, by name."""
    return dict(fetch(db, _decode, "SELECT name, value FROM counters ORDER BY name"))


def _decode(row: sqlite3.Row) -> tuple[str, int]:
    return row[0], row[1]
