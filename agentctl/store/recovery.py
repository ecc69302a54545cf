"""Getting out of a damaged database what can still be read, and putting it into a new one.

Every row is read on its own terms: one that cannot be decoded is left behind, so that
the new database is sound. Must not judge which rows are still true.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from agentctl.core.ledger import DeliveryKind, DeliveryState
from agentctl.core.model import Fuse, Session
from agentctl.errors import Locked, StateUnusable
from agentctl.store import codecs
from agentctl.store.db import Database, insert_row
from agentctl.store.faults import explain
from agentctl.store.journal import readable_uri

# The bytes by which SQLite's connections lock each other out of a file; one in WAL mode
# keeps its share of them for as long as it is open.
_LOCK_BYTES = (0x40000000, 512)

Row = dict[str, Any]

COPIED = ("events", "locks", "outbox", "counters")
"""Tables whose rows go over as they are; sessions and fuses are merged with the manifests first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What could be read of a database. `incomplete` names the tables that lost rows."""

    sessions: tuple[Session, ...] = ()
    fuses: tuple[Fuse, ...] = ()
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()


@contextmanager
def sole_user(path: str) -> Iterator[None]:
    """Keep every other process out of the database file; Locked if one has it open.

    Inside the block this process must not close another descriptor of the file: that
    would let go of the lock.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise explain(error, path) from error
    start, length = _LOCK_BYTES
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError as error:
            raise Locked(
                f"another agentctl has {path} open",
                hint=f"wait until it is done; lsof {path} shows who it is",
            ) from error
        yield
    finally:
        os.close(descriptor)


def read(path: str) -> Salvaged:
    """Whatever can be read of the database at `path`, which is left as it is."""
    incomplete: list[str] = []
    rows: dict[str, list[Row]] = {}
    for table in (*COPIED, "sessions", "fuses"):
        rows[table], complete = _rows(path, table)
        sound = [row for row in rows[table] if _is_sound(table, row)]
        if not complete or len(sound) < len(rows[table]):
            incomplete.append(table)
        rows[table] = sound
    return Salvaged(
        sessions=tuple(codecs.session_from_row(row) for row in rows.pop("sessions")),
        fuses=tuple(codecs.fuse_from_row(row) for row in rows.pop("fuses")),
        rows=rows,
        incomplete=tuple(incomplete),
    )


def copy(db: Database, salvaged: Salvaged) -> dict[str, int]:
    """Put the rows of `COPIED` into a new database, in the caller's transaction; how many of each.

    Cursors and delivery ids stay the same. Locks of sessions are left out: they follow
    from the sessions.
    """
    copied: dict[str, int] = {}
    for table in COPIED:
        columns = {str(row[1]) for row in db.connection.execute(f"PRAGMA table_info({table})")}
        for row in salvaged.rows.get(table, ()):
            if table == "locks" and row["session_id"] is not None:
                continue
            try:
                insert_row(db, table, {name: value for name, value in row.items() if name in columns})
            except sqlite3.IntegrityError:
                continue  # a row that breaks the table's own rules
            copied[table] = copied.get(table, 0) + 1
    return copied


def _rows(path: str, table: str) -> tuple[list[Row], bool]:
    """The rows of a table by rowid, and whether these are all: from the front up to the
    damage, then from the back down to it."""
    found: dict[int, Row] = {}
    try:
        with closing(sqlite3.connect(readable_uri(path), uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = codecs.read_text
            # A damaged index must not hide rows: by rowid alone, the table itself is read.
            for order in ("ASC", "DESC"):
                if _walk(
                    connection,
                    f"SELECT rowid AS _at, * FROM {table} NOT INDEXED ORDER BY rowid {order}",
                    found,
                ):
                    return [found[at] for at in sorted(found)], True
    except (sqlite3.Error, StateUnusable):
        pass  # not even the table's root can be read: nothing more will come
    return [found[at] for at in sorted(found)], False


def _walk(connection: sqlite3.Connection, sql: str, found: dict[int, Row]) -> bool:
    """Read on until the end (True) or the first damage."""
    try:
        for row in connection.execute(sql):
            values = dict(row)
            found[values.pop("_at")] = values
    except (sqlite3.Error, OverflowError):
        return False
    return True


_Reader = Callable[[Any], object]

_CHECKS: Mapping[str, Mapping[str, _Reader]] = {
    "events": {"at": codecs.read_instant, "data": codecs.read_mapping},
    "locks": {"created_at": codecs.read_instant, "expires_at": codecs.read_optional_instant},
    "outbox": {
        "kind": DeliveryKind,
        "payload": codecs.read_mapping,
        "created_at": codecs.read_instant,
        "state": DeliveryState,
        "next_attempt_at": codecs.read_optional_instant,
        "claimed_until": codecs.read_optional_instant,
        "delivered_at": codecs.read_optional_instant,
    },
    "counters": {},
}


def _is_sound(table: str, row: Row) -> bool:
    """The row can be read back as what it is."""
    try:
        if table == "sessions":
            codecs.session_from_row(row)
        elif table == "fuses":
            codecs.fuse_from_row(row)
        else:
            for name, reader in _CHECKS[table].items():
                reader(row[name])
    except (ValueError, TypeError, LookupError, AttributeError):
        return False
    return True
