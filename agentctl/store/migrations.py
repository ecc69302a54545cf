"""The schema's history: append-only, one function a version.

A released migration is never edited: databases made by it exist. Never
`executescript`, which commits behind our back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

# Columns of these tables hold what they say. SQLite before 3.37 does not know the word.
_STRICT = "STRICT" if sqlite3.sqlite_version_info >= (3, 37) else ""

UNSETTLED = "(status NOT IN ('stopped', 'error') OR lingering = 1)"
SETTLED = "(status IN ('stopped', 'error') AND lingering = 0)"
UNSWEPT = "(kill_at IS NOT NULL AND done_at IS NULL)"
"""Literal parts of the partial indexes. A query uses an index only by its very words."""

_V1 = (
    f"""CREATE TABLE sessions (
        id TEXT PRIMARY KEY NOT NULL,
        adapter TEXT NOT NULL,
        cwd TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at TEXT NOT NULL,
        name TEXT,
        outcome TEXT,
        reason TEXT,
        exit_code INTEGER,
        signal INTEGER,
        lingering INTEGER NOT NULL DEFAULT 0,
        unsupervised INTEGER NOT NULL DEFAULT 0,
        stop_cause TEXT NOT NULL DEFAULT 'none',
        stop_stage INTEGER NOT NULL DEFAULT 0,
        stop_escalate_at TEXT,
        ladder TEXT NOT NULL,
        pid INTEGER,
        start_token TEXT,
        native_id TEXT,
        parent_id TEXT,
        depth INTEGER NOT NULL DEFAULT 0,
        resumed_from TEXT,
        group_id TEXT,
        branch TEXT,
        repo TEXT,
        base_commit TEXT,
        model TEXT,
        requested_model TEXT,
        prompt TEXT,
        args TEXT NOT NULL DEFAULT '[]',
        env_keys TEXT NOT NULL DEFAULT '[]',
        hooks TEXT NOT NULL DEFAULT '{{}}',
        meta TEXT NOT NULL DEFAULT '{{}}',
        started_at TEXT,
        ended_at TEXT,
        tokens_input INTEGER,
        tokens_output INTEGER,
        tokens_cache_read INTEGER,
        tokens_cache_write INTEGER,
        cost_usd REAL,
        turns INTEGER,
        result TEXT,
        notes TEXT NOT NULL DEFAULT '[]',
        store_path TEXT,
        transcript_path TEXT,
        adapter_version TEXT,
        revision INTEGER NOT NULL DEFAULT 0
    ) {_STRICT}""",
    f"CREATE INDEX sessions_unsettled ON sessions (created_at) WHERE {UNSETTLED}",
    f"CREATE INDEX sessions_ended ON sessions (ended_at) WHERE {SETTLED}",
    "CREATE INDEX sessions_created ON sessions (created_at)",
    "CREATE INDEX sessions_native ON sessions (native_id, adapter) WHERE native_id IS NOT NULL",
    "CREATE INDEX sessions_name ON sessions (name) WHERE name IS NOT NULL",
    "CREATE INDEX sessions_group ON sessions (group_id) WHERE group_id IS NOT NULL",
    "CREATE INDEX sessions_repo ON sessions (repo) WHERE repo IS NOT NULL",
    "CREATE INDEX sessions_parent ON sessions (parent_id) WHERE parent_id IS NOT NULL",
    f"""CREATE TABLE fuses (
        id TEXT PRIMARY KEY NOT NULL,
        deadline TEXT NOT NULL,
        action TEXT NOT NULL,
        created_at TEXT NOT NULL,
        state TEXT NOT NULL,
        session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE,
        directory TEXT,
        warn_at TEXT,
        command TEXT,
        url TEXT,
        revision INTEGER NOT NULL DEFAULT 0
    ) {_STRICT}""",
    "CREATE INDEX fuses_armed ON fuses (deadline) WHERE state = 'armed'",
    "CREATE INDEX fuses_session ON fuses (session_id) WHERE session_id IS NOT NULL",
    f"""CREATE TABLE locks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        directory TEXT NOT NULL,
        holder TEXT NOT NULL,
        created_at TEXT NOT NULL,
        session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE,
        reason TEXT,
        expires_at TEXT
    ) {_STRICT}""",
    "CREATE INDEX locks_directory ON locks (directory)",
    "CREATE INDEX locks_session ON locks (session_id) WHERE session_id IS NOT NULL",
    f"""CREATE TABLE events (
        cursor INTEGER PRIMARY KEY AUTOINCREMENT,
        type TEXT NOT NULL,
        session_id TEXT,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT,
        data TEXT NOT NULL
    ) {_STRICT}""",
    "CREATE INDEX events_session ON events (session_id) WHERE session_id IS NOT NULL",
    "CREATE INDEX events_at ON events (at)",
    f"""CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        target TEXT NOT NULL,
        event_id TEXT NOT NULL,
        payload TEXT NOT NULL,
        created_at TEXT NOT NULL,
        session_id TEXT,
        state TEXT NOT NULL DEFAULT 'pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        next_attempt_at TEXT,
        claimed_until TEXT,
        delivered_at TEXT,
        last_error TEXT,
        output TEXT,
        UNIQUE (event_id, kind, name, target)
    ) {_STRICT}""",
    "CREATE INDEX outbox_pending ON outbox (id) WHERE state = 'pending'",
    "CREATE INDEX outbox_session ON outbox (session_id) WHERE session_id IS NOT NULL",
    f"CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) {_STRICT}",
    f"""CREATE TABLE discovery (
        adapter TEXT NOT NULL,
        path TEXT NOT NULL,
        mtime_ns INTEGER NOT NULL,
        size INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (adapter, path)
    ) {_STRICT}""",
)


def m0001_first_release(connection: sqlite3.Connection) -> None:
    """Sessions, fuses, locks, events, outbox, counters, the discovery cache."""
    for statement in _V1:
        connection.execute(statement)


def m0002_webhook_wishes(connection: sqlite3.Connection) -> None:
    """What a launch wants of its posts; what waits for it. Addresses of finished posts are forgotten."""
    from agentctl.core.addresses import without_secrets

    connection.execute("ALTER TABLE sessions ADD COLUMN webhook TEXT")
    connection.execute("CREATE INDEX outbox_waiting ON outbox (id) WHERE state = 'waiting'")
    connection.create_function("without_secrets", 1, without_secrets)
    connection.execute(
        """UPDATE OR IGNORE outbox SET target = without_secrets(target)
        WHERE kind = 'webhook' AND state = 'done'"""
    )


def m0003_sweeps(connection: sqlite3.Connection) -> None:
    """What stopped sessions left running, so that it is ended whoever is killed meanwhile."""
    connection.execute(
        f"""CREATE TABLE sweeps (
            session_id TEXT PRIMARY KEY NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            targets TEXT NOT NULL,
            kill_at TEXT,
            term_at TEXT,
            done_at TEXT,
            ended TEXT NOT NULL DEFAULT '[]',
            survivors TEXT NOT NULL DEFAULT '[]'
        ) {_STRICT}"""
    )
    connection.execute(f"CREATE INDEX sweeps_pending ON sweeps (session_id) WHERE {UNSWEPT}")


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [
    m0001_first_release,
    m0002_webhook_wishes,
    m0003_sweeps,
]

SCHEMA_VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """Schema version of an open database; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, *, admit: Callable[[], None] = lambda: None) -> None:
    """Bring the database to this program's schema; each step and its number are one transaction.

    `admit` may refuse, by raising, to make a new one.

    The version is read again under the write lock: of many processes that start
    at once, each step is done by one.
    """
    for number, step in enumerate(MIGRATIONS, start=1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version_of(connection) < number:
                if number == 1:
                    admit()
                step(connection)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
