"""Databases of released versions, kept as dumps, come up to date with all they hold."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.model import Fuse, Session
from agentctl.store import counters, discovery, events, fuses, locks, migrations, outbox, sessions
from agentctl.store import db as store

DUMPS = sorted((Path(__file__).parents[1] / "data" / "store").glob("schema-*.sql"))
BUSY = timedelta(seconds=5)


def load(dump: Path, path: str) -> None:
    Path(path).parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every object and its words, blanks aside."""
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    return [(str(name), " ".join(str(sql).split())) for name, sql in rows]


def contents(dump: Path) -> tuple[object, ...]:
    """Version, objects and rows; how Python words a dump is not ours."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        objects = schema(connection)
        tables = [name for name, sql in objects if sql.startswith("CREATE TABLE")]
        rows = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}
        return migrations.version_of(connection), objects, rows


@pytest.fixture
def restored_migrations() -> Iterator[None]:
    kept, version = list(migrations.MIGRATIONS), migrations.SCHEMA_VERSION
    yield
    migrations.MIGRATIONS[:], migrations.SCHEMA_VERSION = kept, version


def test_every_released_version_has_a_dump() -> None:
    assert [dump.name for dump in DUMPS] == [
        f"schema-{number}.sql" for number in range(1, migrations.SCHEMA_VERSION + 1)
    ]
    for number, step in enumerate(migrations.MIGRATIONS, start=1):
        assert step.__name__.startswith(f"m{number:04}_")


def fingerprint(connection: sqlite3.Connection) -> str:
    words = repr(schema(connection)).replace(" STRICT", "")  # older SQLite does not know that word
    return hashlib.sha256(words.encode()).hexdigest()[:16]


FINGERPRINTS = {1: "6c85585c6b8f4ffc", 2: "ff1f09a607aa8f80", 3: "93b2489d24c9b62c"}
"""Schema version → its tables and indexes. A new version adds a line; no line ever changes."""


def test_a_table_changes_only_with_a_new_version() -> None:
    with closing(sqlite3.connect(":memory:")) as made:
        found = {}
        for number, step in enumerate(migrations.MIGRATIONS, start=1):
            step(made)
            found[number] = fingerprint(made)
    assert found == FINGERPRINTS


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_released_migration_still_makes_its_release(dump: Path, path: str) -> None:
    """Databases made by it exist, so it is never edited."""
    load(dump, path)
    number = int(dump.stem.removeprefix("schema-"))
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(":memory:")) as made:
        for step in migrations.MIGRATIONS[:number]:
            step(made)
        assert schema(made) == schema(old)


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_dump_comes_up_to_date_with_its_rows(
    dump: Path, path: str, full_session: Session, full_fuse: Fuse, tmp_path: Path
) -> None:
    load(dump, path)
    db = store.connect(path, busy=BUSY)
    fresh = store.connect(str(tmp_path / "fresh" / "agentctl.db"), busy=BUSY)
    assert schema(db.connection) == schema(fresh.connection)
    fresh.close()
    stored = sessions.get(db, full_session.id)
    assert stored is not None
    added_later = {"webhook"} if dump.stem == "schema-1" else set()
    assert stored == full_session._replace(**{name: getattr(stored, name) for name in added_later})
    assert len(sessions.all_ids(db)) == 2
    assert fuses.get(db, full_fuse.id) == full_fuse
    assert [lock.session_id for lock in locks.all(db)] == [full_session.id, None]
    assert [event.type for event in events.since(db, 0, limit=9)] == ["session.started", "session.stopped"]
    assert [row.state for row in outbox.list_all(db)] == [DeliveryState.FAILED, DeliveryState.DONE]
    assert counters.all(db) == {"sessions_total.failed": 3}
    assert discovery.get(db, "pi") == {"/home/u/.pi/x.jsonl": (1, 2, "{}")}
    with store.transaction(db):
        cursor = events.append(
            db, type="x", session_id=None, at=full_session.created_at, actor="a", reason=None
        )
    assert cursor == 3, "numbers go on where they were"
    db.close()
    assert store.check(path) == []


def test_an_older_database_is_migrated_with_its_rows(
    path: str, full_session: Session, restored_migrations: None
) -> None:
    db = store.connect(path, busy=BUSY)
    with store.transaction(db):
        sessions.insert(db, full_session)
    db.close()

    def mood(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE sessions ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'")

    migrations.MIGRATIONS.append(mood)
    migrations.SCHEMA_VERSION += 1
    db = store.connect(path, busy=BUSY)
    assert store.dump_version(path) == migrations.SCHEMA_VERSION
    assert sessions.get(db, full_session.id) == full_session
    assert [row[0] for row in db.connection.execute("SELECT mood FROM sessions")] == ["calm"]
    db.close()


def test_a_step_that_fails_leaves_the_version_before(path: str, restored_migrations: None) -> None:
    store.connect(path, busy=BUSY).close()

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE extra (x)")
        raise ZeroDivisionError

    migrations.MIGRATIONS.append(wrong)
    migrations.SCHEMA_VERSION += 1
    with pytest.raises(ZeroDivisionError):
        store.connect(path, busy=BUSY)
    assert store.dump_version(path) == migrations.SCHEMA_VERSION - 1
    with closing(sqlite3.connect(path)) as raw:
        assert "extra" not in dict(schema(raw))


def test_a_database_that_another_is_migrating_is_busy(
    path: str, restored_migrations: None, full_session: Session
) -> None:
    """A reader does not wait for it: it migrates a copy in memory."""
    db = store.connect(path, busy=BUSY)
    with store.transaction(db):
        sessions.insert(db, full_session)
    migrations.MIGRATIONS.append(lambda connection: None)
    migrations.SCHEMA_VERSION += 1
    with store.transaction(db):
        with pytest.raises(store.CannotWrite, match="brought up to date by another"):
            store.connect(path, busy=timedelta(milliseconds=50))
        reader = store.connect(path, busy=timedelta(milliseconds=50), read_only_ok=True)
        assert reader.read_only
        assert sessions.get(reader, full_session.id) == full_session
        reader.close()
    db.close()


def write_dump(path: str, full_session: Session, full_fuse: Fuse, target: Path) -> None:
    """How the dump of the newest version is made (by hand, once, at its release)."""
    db = store.connect(path, busy=BUSY)
    at = full_session.created_at
    with store.transaction(db):
        sessions.insert(db, full_session)
        sessions.insert(db, full_session._replace(id="second", name=None, lingering=False))
        fuses.insert(db, full_fuse)
        locks.acquire(db, directory="/a", holder="s", session_id=full_session.id, created_at=at)
        locks.acquire(db, directory="/b", holder="ann", session_id=None, created_at=at, reason="mine")
        for kind in ("session.started", "session.stopped"):
            events.append(
                db, type=kind, session_id=full_session.id, at=at, actor="launch", reason="r", data={"a": 1}
            )
        for key in ("e1", "e2"):
            number = outbox.enqueue(
                db,
                Delivery(
                    kind=DeliveryKind.HOOK,
                    name="on_complete",
                    target="true",
                    event_id=key,
                    payload={"env": {}},
                    created_at=at,
                    session_id=full_session.id,
                ),
            )
            if key == "e1":
                outbox.finish(db, number, delivered_at=at, output="ok")
            else:
                outbox.fail(db, number, error="exit 1", output="", next_attempt_at=None)
        counters.increment(db, "sessions_total.failed", by=3)
        discovery.put(db, "pi", "/home/u/.pi/x.jsonl", 1, 2, "{}")
    lines = [*db.connection.iterdump(), f"PRAGMA user_version = {migrations.SCHEMA_VERSION};"]
    db.close()
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_newest_dump_is_what_this_program_writes(
    path: str, full_session: Session, full_fuse: Fuse, tmp_path: Path
) -> None:
    write_dump(path, full_session, full_fuse, tmp_path / "dump.sql")
    assert contents(tmp_path / "dump.sql") == contents(DUMPS[-1])
