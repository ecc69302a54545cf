"""Reading opencode's stores: the SQLite database, then the JSON tree of releases before 1.2.

One path names all: the database's. The tree is `storage/` beside it. Today's releases
do not import the tree, so a session may be in either. Builds of other channels than the
releases' keep databases of their own beside it, `opencode-CHANNEL.db`.

Must not write, and must not look often: a reader that reopens the database in a tight
loop makes a starting opencode fail. So each function opens the database once, reads what it
needs and closes it. What cannot be read is None or empty, never an exception.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from agentctl.adapters import reading
from agentctl.adapters.opencode import tree
from agentctl.adapters.opencode.records import StoredMessage, StoredRun, StoredSession, model_of
from agentctl.adapters.reading import json_object
from agentctl.adapters.values import integer, real, string
from agentctl.core.model import Tokens

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

DATABASE = "opencode.db"

BUSY_SECONDS = 2.0
"""How long a look waits for a locked database."""

CHANNELS = 4
"""Databases of other channels that are read: each may take its time."""

BESIDE = ("-wal", "-shm", "-journal")
"""SQLite opens these files with the database."""

OPERATIONS = 10_000
"""Of SQLite's machine, between two looks at the clock: about a millisecond."""

LONGEST = 64 * 1024 * 1024
"""Bytes of one value: a view can make one of any length."""

COLUMNS = (
    "id",
    "parent_id",
    "directory",
    "title",
    "version",
    "time_created",
    "time_updated",
    "model",
    "cost",
    "tokens_input",
    "tokens_output",
    "tokens_cache_read",
    "tokens_cache_write",
    "time_archived",
)
"""Of table `session`; older releases lack some of the last seven."""


def store_path(environ: Mapping[str, str]) -> str | None:
    """The database's path. It also names the JSON tree of old releases: `storage/` beside it."""
    data_home = reading.place(environ, "XDG_DATA_HOME", ".local", "share")
    database = environ.get("OPENCODE_DB") or DATABASE
    if data_home:
        database = os.path.join(data_home, "opencode", database)
    return database if os.path.isabs(database) else None


def is_listed(store: str, native_id: str) -> bool | None:
    """Whether the store holds this session; None unless all of it could be read."""

    def look(db: sqlite3.Connection) -> bool:
        return db.execute("SELECT 1 FROM session WHERE id = ?", (native_id,)).fetchone() is not None

    in_databases = [_read(database, look) for database in databases(store)]
    in_tree = tree.is_listed(_tree(store), native_id)
    if any(in_databases) or in_tree:
        return True
    return None if None in in_databases or in_tree is None else False


def databases(store: str) -> list[str]:
    """The database of this path, then those that builds of other channels keep beside it."""
    if os.path.basename(store) != DATABASE:
        return [store]
    directory = os.path.dirname(store)
    beside = (os.path.join(directory, name) for name in sorted(reading.names(directory)))
    return [store, *(path for path in beside if _is_channels(path))][: 1 + CHANNELS]


def _is_channels(path: str) -> bool:
    name = os.path.basename(path)
    return name.startswith("opencode-") and name.endswith(".db")


def id_by_title(store: str, title: str) -> str | None:
    """The id of the one top-level session of this title in the database."""

    def look(db: sqlite3.Connection) -> list[tuple[str]]:
        sql = "SELECT id FROM session WHERE title = ? AND parent_id IS NULL LIMIT 2"
        return db.execute(sql, (title,)).fetchall()

    found = [row for database in databases(store) for row in _read(database, look) or ()]
    return found[0][0] if len(found) == 1 else None


def sessions(database: str) -> tuple[list[StoredSession], str | None]:
    """Every session of one database, each with its newest message, and why others could not be read.

    With the releases' database come those of the tree beside it that it does not have.
    """

    def look(db: sqlite3.Connection) -> list[StoredSession]:
        newest = "SELECT id FROM message WHERE session_id = s.id ORDER BY time_created DESC, id DESC LIMIT 1"
        sql = f"SELECT {_columns(db)}, m.data FROM session s LEFT JOIN message m ON m.id = ({newest})"
        return [_session(row[:-1], json_object(row[-1])) for row in db.execute(sql)]

    found: list[StoredSession] = []
    fault: str | None = None
    if os.path.lexists(database):
        try:
            found = _look(database, look)
        except Unreadable as error:
            # A new database is made in several steps, and has no table at first.
            fault = None if "no such table: session" in str(error) else str(error)
    if not _is_channels(database):
        known = {session.id for session in found}
        found += [session for session in tree.sessions(_tree(database)) if session.id not in known]
    return found, fault


def run(store: str, native_id: str, since: int) -> StoredRun | None:
    """The session and its messages from `since` (milliseconds) on; None if no store has it."""

    def look(db: sqlite3.Connection) -> StoredRun | None:
        row = db.execute(f"SELECT {_columns(db)} FROM session s WHERE id = ?", (native_id,)).fetchone()
        if row is None:
            return None
        sql = """SELECT id, data FROM message WHERE session_id = ? AND time_created >= ?
                 ORDER BY time_created, id"""
        messages = db.execute(sql, (native_id, since)).fetchall()
        sql = "SELECT data FROM part WHERE message_id = ? ORDER BY id"
        parts = db.execute(sql, (messages[-1][0],)).fetchall() if messages else []
        return StoredRun(
            session=_session(row),
            messages=tuple(_objects(data for _, data in messages)),
            last_parts=tuple(_objects(data for (data,) in parts)),
        )

    return _first(store, look) or tree.run(_tree(store), native_id, since)


def conversation(store: str, native_id: str) -> list[StoredMessage]:
    """All messages with their parts, oldest first; empty if no store has them."""

    def look(db: sqlite3.Connection) -> list[StoredMessage]:
        parts: dict[str, list[str]] = {}
        sql = "SELECT message_id, data FROM part WHERE session_id = ? ORDER BY message_id, id"
        for message_id, data in db.execute(sql, (native_id,)):
            parts.setdefault(message_id, []).append(data)
        sql = "SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id"
        return [
            StoredMessage(data=message, parts=tuple(_objects(parts.get(message_id, ()))))
            for message_id, data in db.execute(sql, (native_id,))
            if (message := json_object(data)) is not None
        ]

    return _first(store, look) or tree.conversation(_tree(store), native_id)


def _first(store: str, look: Callable[[sqlite3.Connection], T]) -> T | None:
    """What `look` finds in the first database in which it finds anything."""
    return next((found for database in databases(store) if (found := _read(database, look))), None)


class Unreadable(Exception):
    """The database is locked, foreign, damaged, or something else than a file."""


def _read(store: str, look: Callable[[sqlite3.Connection], T]) -> T | None:
    """What `look` finds in the database; None if that is missing or cannot be read."""
    try:
        return _look(store, look)
    except Unreadable:
        return None


def _look(store: str, look: Callable[[sqlite3.Connection], T]) -> T:
    """What `look` finds in the database. Raises Unreadable, with the reason.

    Never `immutable`: the newest data is in the write-ahead log beside it. Unreadable also if the work
    takes longer than reading.WORK_SECONDS: a view can have rows without end.
    """
    import sqlite3

    if not all(map(reading.is_regular_or_absent, (store, *(f"{store}{end}" for end in BESIDE)))):
        raise Unreadable("not a regular file")  # a pipe would never answer
    quoted = store.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        db = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except (sqlite3.Error, ValueError) as error:
        raise Unreadable(str(error)) from error
    try:
        db.text_factory = _lenient
        db.set_progress_handler(reading.is_over_time(), OPERATIONS)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        return look(db)
    except (sqlite3.Error, MemoryError) as error:
        is_late = str(error) == "interrupted"
        why = f"it takes longer than {reading.WORK_SECONDS:g} s" if is_late else str(error)
        raise Unreadable(why or "it needs too much memory") from error
    finally:
        db.close()


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _columns(db: sqlite3.Connection) -> str:
    """COLUMNS as this release has them; NULL for those it lacks."""
    present = {row[1] for row in db.execute("PRAGMA table_info(session)")}
    return ", ".join(f"s.{name}" if name in present else "NULL" for name in COLUMNS)


def _session(row: tuple[Any, ...], newest: Mapping[str, Any] | None = None) -> StoredSession:
    record = dict(zip(COLUMNS, row, strict=True))
    return StoredSession(
        id=str(record["id"]),
        parent_id=string(record["parent_id"]),
        directory=string(record["directory"]),
        title=string(record["title"]),
        version=string(record["version"]),
        created=integer(record["time_created"]) or 0,
        updated=integer(record["time_updated"]) or 0,
        model=model_of(json_object(record["model"])) or model_of(newest),
        cost=real(record["cost"]),
        tokens=Tokens(
            input=integer(record["tokens_input"]),
            output=integer(record["tokens_output"]),
            cache_read=integer(record["tokens_cache_read"]),
            cache_write=integer(record["tokens_cache_write"]),
        ),
        newest=newest,
        is_archived=record["time_archived"] is not None,
    )


def _objects(texts: Iterable[object]) -> Iterator[Mapping[str, Any]]:
    return (value for text in texts if (value := json_object(text)) is not None)


def _tree(store: str) -> str:
    return os.path.join(os.path.dirname(store), "storage")
