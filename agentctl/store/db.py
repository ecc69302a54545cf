"""Opening the database, transactions, and the few ways to run a statement.

Every error of SQLite that a user can meet leaves as StateUnusable. Must not
know what a row means.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from agentctl.errors import StateUnusable
from agentctl.store import codecs, migrations
from agentctl.store.faults import CannotWrite, busy_for, damaged, explain, guarded, is_busy, newer, read_only
from agentctl.store.journal import check, dump_version, journal_advice, readable_uri, set_aside, uri

__all__ = [
    "CannotWrite",
    "Database",
    "change",
    "check",
    "connect",
    "dump_version",
    "explain",
    "fetch",
    "insert_row",
    "journal_advice",
    "reading",
    "set_aside",
    "transaction",
    "update_row",
]

_T = TypeVar("_T")

SMALLEST = 512
"""Bytes of the smallest page: a database with anything in it has no fewer."""

# Python cannot deliver Ctrl-C while SQLite waits, so a long wait is many short ones.
_SLICE = timedelta(seconds=1)


class Database(NamedTuple):
    """An open database. `read_only` when nothing can be written here; `note` says what is unusual."""

    connection: sqlite3.Connection
    path: str
    busy: timedelta
    read_only: bool = False
    note: str | None = None

    def close(self) -> None:
        self.connection.close()


def connect(
    path: str,
    *,
    busy: timedelta,
    read_only_ok: bool = False,
    makes: bool = True,
    belongings: str | None = None,
) -> Database:
    """Open the database, made and migrated if need be; waits `busy` for other processes.

    No new one is made, and a damaged state is reported, while the directory `belongings`
    holds sessions: theirs was emptied or deleted.

    With `read_only_ok`, a database that cannot be written is opened for reading,
    and one that is not there and cannot be made is an empty one in memory. So is, without
    `makes`, every one that is not there.
    """
    if not makes and _is_missing(path) and not (belongings and _has_sessions(belongings)):
        return _in_memory(None, path, busy, note=None)
    try:
        return _open(path, busy, belongings)
    except CannotWrite:
        if not read_only_ok:
            raise
    return _open_for_reading(path, busy)


@contextmanager
def transaction(db: Database, *, busy: timedelta | None = None) -> Iterator[None]:
    """One write transaction: all of the block or nothing. Raises CannotWrite when it cannot begin.

    `busy` replaces the database's own waiting time, for a write that is only
    a convenience. IMMEDIATE: a read that turns into a write can fail at once,
    whatever the timeout.
    """
    if db.read_only:
        raise read_only(db.path)
    wait = db.busy if busy is None else busy
    with guarded(db.path, wait), _waiting(db, wait):
        _begin(db, "BEGIN IMMEDIATE", wait)
        try:
            yield
            _patiently(db.connection, "COMMIT", (), wait)
        except BaseException:
            # SQLite has already rolled back after some errors, such as a full disk.
            if db.connection.in_transaction:
                db.connection.execute("ROLLBACK")
            raise


@contextmanager
def reading(db: Database) -> Iterator[None]:
    """One consistent snapshot for all reads of the block."""
    with guarded(db.path, db.busy):
        _begin(db, "BEGIN", db.busy)
        try:
            yield
        finally:
            if db.connection.in_transaction:
                db.connection.execute("ROLLBACK")


def fetch(
    db: Database, decode: Callable[[sqlite3.Row], _T], sql: str, parameters: Sequence[object] = ()
) -> list[_T]:
    """The decoded rows. A row that cannot be decoded means a damaged database.

    Text that is not UTF-8 is bound as bytes, which no column equals.
    """
    with guarded(db.path, db.busy):
        bound = [codecs.text(value) if isinstance(value, str) else value for value in parameters]
        rows = _patiently(db.connection, sql, bound, db.busy).fetchall()
    try:
        return [decode(row) for row in rows]
    except (ValueError, TypeError, LookupError) as error:
        raise damaged(db.path, f"a row cannot be read: {error}") from error


def fetch_first(
    db: Database, decode: Callable[[sqlite3.Row], _T], sql: str, parameters: Sequence[object] = ()
) -> _T | None:
    """The first of the decoded rows, None if there are none."""
    return next(iter(fetch(db, decode, sql, parameters)), None)


def change(db: Database, sql: str, parameters: Sequence[object] = ()) -> int:
    """Run a write inside the caller's transaction; how many rows it touched."""
    with guarded(db.path, db.busy):
        return db.connection.execute(sql, parameters).rowcount


def insert_row(db: Database, table: str, values: Mapping[str, object]) -> int:
    """Insert one row inside the caller's transaction; its rowid."""
    places, bound = _bind(values)
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(places)})"
    with guarded(db.path, db.busy):
        return db.connection.execute(sql, bound).lastrowid or 0


def update_row(db: Database, table: str, row: Mapping[str, object]) -> bool:
    """Compare and set: write the row if its `id` still has its `revision`, which grows by one."""
    values = {name: value for name, value in row.items() if name not in ("id", "revision")}
    places, bound = _bind(values)
    settings = ", ".join(f"{name} = {place}" for name, place in zip(values, places, strict=True))
    sql = f"UPDATE {table} SET {settings}, revision = revision + 1 WHERE id = ? AND revision = ?"
    return change(db, sql, (*bound, row["id"], row["revision"])) == 1


def _bind(values: Mapping[str, object]) -> tuple[list[str], list[object]]:
    """Placeholders and what to bind to them; text that is not UTF-8 goes in as its bytes."""
    bound = [codecs.text(value) if isinstance(value, str) else value for value in values.values()]
    return ["CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in bound], bound


def _open(path: str, busy: timedelta, belongings: str | None) -> Database:
    _create_missing(path)
    if not os.access(path, os.W_OK):
        # SQLite would quietly open it for reading and fail at the first write.
        raise read_only(path)
    with guarded(path, busy):
        connection = _attach(uri(path, "mode=rw"), busy)
        try:
            note = _prepare(connection, path, busy, belongings)
        except BaseException:
            connection.close()
            raise
    return Database(connection, path, busy, note=note)


def _create_missing(path: str) -> None:
    """Make the file under its own name with mode 0600: it is never readable by others."""
    if os.path.exists(path):
        return
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            # Only a new file is opened here: closing a descriptor of a database that
            # this process has open would drop its locks.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise explain(error, path) from error


def _attach(address: str, busy: timedelta) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address,
        uri=True,
        timeout=min(busy, _SLICE).total_seconds(),
        # Transactions are ours alone: the module opens none behind our back.
        isolation_level=None,
    )
    connection.row_factory = sqlite3.Row
    # File names that are not UTF-8 come back as Python's file names do.
    connection.text_factory = codecs.read_text
    # Fuses and locks go with their session; SQLite checks nothing unless told.
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepare(
    connection: sqlite3.Connection, path: str, busy: timedelta, belongings: str | None
) -> str | None:
    """Journal, schema, durability; a note where the journal is not WAL."""
    version = int(_patiently(connection, "PRAGMA user_version", (), busy).fetchone()[0])
    if version > migrations.SCHEMA_VERSION:
        raise newer(path, found=version, known=migrations.SCHEMA_VERSION)
    if version == 0:
        if 0 < os.path.getsize(path) < SMALLEST:
            # SQLite takes such a stump for a new database.
            raise damaged(path, "it was cut short")
        # WAL is remembered in the file, so only a new file is asked: readers then
        # never wait for a writer.
        _use_wal(connection, path, busy)
    if version < migrations.SCHEMA_VERSION:
        _migrate(connection, path, busy, belongings)
    mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    if mode != "wal":
        # SQLite's default, synchronous=FULL, stays: a rollback journal needs it.
        return f"the database uses the {mode} journal; readers and writers wait for each other"
    # With WAL a power cut costs at most the last transactions, never consistency.
    connection.execute("PRAGMA synchronous = NORMAL")
    return None


def _use_wal(connection: sqlite3.Connection, path: str, busy: timedelta) -> None:
    """Switch a new file to WAL where its file system bears it."""
    if journal_advice(path)[0] != "wal":
        return
    for _ in range(_slices(busy) * 10):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        # Two that switch at once are both refused without waiting. Queue for the
        # write lock, which does wait, and try again.
        _patiently(connection, "BEGIN IMMEDIATE", (), busy)
        connection.execute("ROLLBACK")
    # Going on without WAL would keep the database without it permanently.
    raise busy_for(path, busy)


def _migrate(connection: sqlite3.Connection, path: str, busy: timedelta, belongings: str | None) -> None:
    def admit() -> None:
        # Asked under the write lock: of many first launches none sees another's session too early.
        if belongings is not None and _has_sessions(belongings):
            raise damaged(path, "it is new or empty, but there are sessions of another")

    for _ in range(_slices(busy)):
        try:
            migrations.migrate(connection, admit=admit)
            break
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
    version = migrations.version_of(connection)
    if version < migrations.SCHEMA_VERSION:
        raise CannotWrite(
            f"database {path} is being brought up to date by another agentctl", hint="try again in a moment"
        )
    if version > migrations.SCHEMA_VERSION:
        raise newer(path, found=version, known=migrations.SCHEMA_VERSION)


def _has_sessions(directory: str) -> bool:
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    return any(os.path.exists(os.path.join(directory, name, "session.json")) for name in names)


def _open_for_reading(path: str, busy: timedelta) -> Database:
    """A database that cannot be written: read where it is, or a copy in memory."""
    if not _has_content(path):
        return _in_memory(None, path, busy, note=f"{path} is not there and cannot be made")
    with guarded(path, busy):
        connection = _attach(readable_uri(path), busy)
        try:
            version = int(_patiently(connection, "PRAGMA user_version", (), busy).fetchone()[0])
            if version > migrations.SCHEMA_VERSION:
                raise newer(path, found=version, known=migrations.SCHEMA_VERSION)
            if version == migrations.SCHEMA_VERSION:
                return Database(connection, path, busy, read_only=True, note=f"{path} is read-only")
            copy = _in_memory(connection, path, busy, note=f"{path} is read-only and of an older version")
        except BaseException:
            connection.close()
            raise
    connection.close()
    return copy


def _in_memory(
    source: sqlite3.Connection | None, path: str, busy: timedelta, *, note: str | None
) -> Database:
    connection = _attach("file::memory:", busy)
    if source is not None:
        source.backup(connection)
    migrations.migrate(connection)
    return Database(connection, path, busy, read_only=True, note=note)


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # something is in its way, or it may not be seen: opening it will show which
    return False


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateUnusable(
            f"database {path} cannot be read: {error.strerror}", hint="look at the modes of its directories"
        ) from error


def _begin(db: Database, statement: str, wait: timedelta) -> None:
    if db.connection.in_transaction:
        raise RuntimeError("a transaction is already open on this connection")
    _patiently(db.connection, statement, (), wait)


@contextmanager
def _waiting(db: Database, wait: timedelta) -> Iterator[None]:
    """Let SQLite itself wait no longer than `wait` inside the block."""
    if min(wait, _SLICE) == min(db.busy, _SLICE):
        yield
        return
    _set_timeout(db, wait)
    try:
        yield
    finally:
        _set_timeout(db, db.busy)


def _set_timeout(db: Database, wait: timedelta) -> None:
    milliseconds = int(min(wait, _SLICE) / timedelta(milliseconds=1))
    db.connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _slices(wait: timedelta) -> int:
    return max(1, math.ceil(wait / _SLICE))


def _patiently(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Any], wait: timedelta
) -> sqlite3.Cursor:
    """Run a statement, again and again while others are in the way, for about `wait`."""
    for _ in range(_slices(wait) - 1):
        try:
            return connection.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
    return connection.execute(sql, parameters)
