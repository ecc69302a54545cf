"""Opening a database: modes, pragmas, versions, damage, waiting."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.model import Session
from agentctl.errors import StateUnusable
from agentctl.store import db as store
from agentctl.store import events, migrations, sessions
from agentctl.store.db import CannotWrite, Database

BUSY = timedelta(seconds=30)
SHORT = timedelta(milliseconds=50)


def pragma(db: Database, name: str) -> object:
    return db.connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_database_is_private_and_complete(path: str) -> None:
    previous = os.umask(0)
    try:
        db = store.connect(path, busy=BUSY)
        with store.transaction(db):
            pass
        beside = sorted(os.listdir(os.path.dirname(path)))
        modes = {stat.S_IMODE(os.stat(os.path.join(os.path.dirname(path), name)).st_mode) for name in beside}
    finally:
        os.umask(previous)
    assert beside == ["agentctl.db", "agentctl.db-shm", "agentctl.db-wal"]
    assert modes == {0o600}
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert pragma(db, "user_version") == migrations.SCHEMA_VERSION
    assert (pragma(db, "journal_mode"), pragma(db, "synchronous"), pragma(db, "foreign_keys")) == (
        "wal",
        1,
        1,
    )
    assert (db.read_only, db.note) == (False, None)
    db.close()
    assert os.listdir(os.path.dirname(path)) == ["agentctl.db"]


def test_pragmas_hold_at_every_opening(db: Database, path: str) -> None:
    again = store.connect(path, busy=BUSY)
    values = [pragma(again, name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
    again.close()
    assert values == ["wal", 1, 1, 1000]


def test_an_empty_file_is_a_new_database(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).touch()
    db = store.connect(path, busy=BUSY)
    assert sessions.unsettled(db) == []
    db.close()


@pytest.mark.parametrize("name", ["a b", "100%", "what?", "x#y", "file:z", "ü", "\udcff", "%41"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str, full_session: Session) -> None:
    path = os.path.join(tmp_path, "state", name, "agentctl.db")
    for _ in range(2):
        db = store.connect(path, busy=BUSY)
        if sessions.get(db, full_session.id) is None:
            with store.transaction(db):
                sessions.insert(db, full_session)
        db.close()
    assert os.listdir(os.path.dirname(path)) == ["agentctl.db"]
    assert os.listdir(tmp_path / "state") == [name]


def test_a_transaction_is_all_or_nothing(db: Database, full_session: Session) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction(db):
        sessions.insert(db, full_session)
        raise KeyboardInterrupt
    assert not db.connection.in_transaction
    assert sessions.all_ids(db) == set()


def test_a_transaction_inside_another_is_our_bug(db: Database) -> None:
    with store.transaction(db):
        with pytest.raises(RuntimeError, match="already open"), store.transaction(db):
            pass
        with pytest.raises(RuntimeError, match="already open"), store.reading(db):
            pass
        assert db.connection.in_transaction


def test_a_snapshot_sees_one_state(db: Database, path: str, full_session: Session) -> None:
    other = store.connect(path, busy=BUSY)
    with store.reading(db):
        assert sessions.all_ids(db) == set()
        with store.transaction(other):
            sessions.insert(other, full_session)
        assert sessions.all_ids(db) == set()
    assert sessions.all_ids(db) == {full_session.id}
    other.close()


@pytest.mark.parametrize("version", [migrations.SCHEMA_VERSION + 1, 999])
@pytest.mark.parametrize("lenient", [False, True])
def test_a_newer_database_is_refused_with_both_numbers(path: str, version: int, lenient: bool) -> None:
    store.connect(path, busy=BUSY).close()
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {version}")
    raw.close()
    before = Path(path).read_bytes()
    with pytest.raises(StateUnusable) as caught:
        store.connect(path, busy=BUSY, read_only_ok=lenient)
    assert f"version {version}" in caught.value.message
    assert f"up to {migrations.SCHEMA_VERSION}" in caught.value.message
    assert "newer agentctl" in str(caught.value.hint)
    assert not isinstance(caught.value, CannotWrite)
    assert Path(path).read_bytes() == before
    assert store.dump_version(path) == version


@pytest.mark.parametrize(
    "content",
    [
        b"xy",
        random.Random(7).randbytes(50),
        random.Random(8).randbytes(4096),
        b"SQLite format 3\0" + b"\xff" * 5000,
    ],
    ids=["two bytes", "short noise", "long noise", "a header and nothing sensible"],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_random_bytes_are_a_damaged_database(path: str, content: bytes, lenient: bool) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_bytes(content)
    with pytest.raises(StateUnusable) as caught:
        store.connect(path, busy=BUSY, read_only_ok=lenient)
    assert (caught.value.exit_code, caught.value.slug) == (13, "state_unusable")
    assert f"{path} is damaged" in caught.value.message
    assert "doctor --rebuild" in str(caught.value.hint)
    assert Path(path).read_bytes() == content, "a damaged file is evidence"


@pytest.mark.parametrize("keep", [100, 4096, 20_000])
def test_a_truncated_database_is_damaged(path: str, keep: int, full_session: Session) -> None:
    db = store.connect(path, busy=BUSY)
    with store.transaction(db):
        sessions.insert(db, full_session)
        for _ in range(500):
            events.append(
                db, type="x", session_id=None, at=full_session.created_at, actor="a", reason="r" * 200
            )
    db.close()
    os.truncate(path, keep)
    with pytest.raises(StateUnusable) as caught:
        db = store.connect(path, busy=BUSY)
        try:
            events.since(db, 0, limit=1000)
        finally:
            db.close()
    assert "is damaged" in caught.value.message
    assert store.check(path) != []


def test_a_row_that_cannot_be_read_is_damage(db: Database, path: str, full_session: Session) -> None:
    with store.transaction(db):
        sessions.insert(db, full_session)
        store.change(db, "UPDATE sessions SET created_at = 'yesterday'")
    with pytest.raises(StateUnusable, match=r"damaged.*yesterday"):
        sessions.unsettled(db)


def test_a_missing_table_is_damage(db: Database) -> None:
    db.connection.execute("DROP TABLE outbox")
    with pytest.raises(StateUnusable, match=r"damaged.*outbox"):
        store.fetch(db, tuple, "SELECT * FROM outbox")


def test_a_directory_in_its_place_is_named(path: str) -> None:
    os.makedirs(path)
    with pytest.raises(StateUnusable, match="is a directory"):
        store.connect(path, busy=BUSY)


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateUnusable, match="cannot be opened"):
        store.connect(str(tmp_path / "state" / "agentctl.db"), busy=BUSY)


def test_a_busy_database_refuses_writers_and_serves_readers(
    db: Database, path: str, full_session: Session
) -> None:
    other = store.connect(path, busy=SHORT)
    with store.transaction(db):
        sessions.insert(db, full_session)
        with pytest.raises(CannotWrite) as caught, store.transaction(other):
            pass
        assert sessions.all_ids(other) == set()
    assert "is busy for 0.05 s: another agentctl holds it" in caught.value.message
    assert path in str(caught.value.hint)
    with store.transaction(other):
        assert sessions.all_ids(other) == {full_session.id}
    other.close()


def test_an_optional_write_has_its_own_patience(db: Database, path: str) -> None:
    other = store.connect(path, busy=BUSY)
    with (
        store.transaction(db),
        pytest.raises(CannotWrite, match=r"0\.05 s"),
        store.transaction(other, busy=SHORT),
    ):
        pass
    assert pragma(other, "busy_timeout") == 1000
    other.close()


def test_a_long_wait_ends_when_the_other_commits(
    db: Database, path: str, spawn: Callable[..., object]
) -> None:
    script = """
import sys; from datetime import timedelta
from agentctl.store import counters, db as store
db = store.connect(sys.argv[1], busy=timedelta(seconds=30))
print("waiting", flush=True)
with store.transaction(db):
    counters.increment(db, "won")
print(counters.all(db))
"""
    with store.transaction(db):
        child = spawn(script, path)
        assert child.says() == "waiting"  # type: ignore[attr-defined]
    assert child.finish() == "{'won': 1}"  # type: ignore[attr-defined]


def test_a_wait_can_be_interrupted(db: Database, path: str, spawn: Callable[..., object]) -> None:
    """Thirty seconds of patience must not mean thirty seconds of deafness to Ctrl-C."""
    script = """
import sys; from datetime import timedelta
from agentctl.store import db as store
db = store.connect(sys.argv[1], busy=timedelta(seconds=30))
try:
    print("waiting", flush=True)
    with store.transaction(db):
        print("won")
except KeyboardInterrupt:
    print("interrupted", db.connection.in_transaction)
"""
    with store.transaction(db):
        child = spawn(script, path)
        assert child.says() == "waiting"  # type: ignore[attr-defined]
        child.process.send_signal(signal.SIGINT)  # type: ignore[attr-defined]
        out, err = child.process.communicate(timeout=10)  # type: ignore[attr-defined]
    assert out.strip() == "interrupted False", err


def test_check_finds_what_is_wrong(db: Database, path: str, tmp_path: Path) -> None:
    assert store.check(path) == []
    assert store.check(str(tmp_path / "none.db")) == []
    assert not (tmp_path / "none.db").exists()
    db.connection.execute("PRAGMA foreign_keys = OFF")
    db.connection.execute(
        "INSERT INTO locks (directory, holder, created_at, session_id) VALUES ('/d', 'h', 't', 'nobody')"
    )
    assert store.check(path) == ["row 1 of locks points to a row of sessions that is not there"]
    (tmp_path / "junk.db").write_bytes(b"junk" * 2000)
    (fault,) = store.check(str(tmp_path / "junk.db"))
    assert "is damaged" in fault


def test_the_version_of_a_file_is_read_without_changing_it(tmp_path: Path) -> None:
    assert store.dump_version(str(tmp_path / "none.db")) == 0
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "junk.db").write_bytes(b"junk" * 2000)
    with pytest.raises(StateUnusable, match="is damaged"):
        store.dump_version(str(tmp_path / "junk.db"))


def test_set_aside_takes_the_companions_along(path: str, full_session: Session) -> None:
    db = store.connect(path, busy=BUSY)
    with store.transaction(db):
        sessions.insert(db, full_session)
    moved = store.set_aside(path, "damaged-1")
    assert moved == f"{path}.damaged-1"
    assert sorted(os.listdir(os.path.dirname(path))) == [
        f"agentctl.db.damaged-1{suffix}" for suffix in ("", "-shm", "-wal")
    ]
    fresh = store.connect(path, busy=BUSY)
    assert sessions.all_ids(fresh) == set()
    with pytest.raises(StateUnusable, match="already there"):
        store.set_aside(path, "damaged-1")
    fresh.close()
    db.close()
