"""Where nothing can be written: read-only places and full disks, made for real."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Session
from agentctl.store import db as store
from agentctl.store import migrations, sessions

BUSY = timedelta(seconds=30)
Freeze = Callable[[Path], None]

READ = """
import sys; from datetime import timedelta
from agentctl.errors import StateUnusable
from agentctl.store import db as store, sessions
def attempt(name, action):
    try:
        print(name, action())
    except StateUnusable as error:
        print(name, type(error).__name__, error.message)
def write():
    with store.transaction(db):
        return "wrote"
path, busy = sys.argv[1], timedelta(seconds=1)
attempt("check", lambda: store.check(path))
attempt("version", lambda: store.dump_version(path))
attempt("strict", lambda: store.connect(path, busy=busy))
try:
    db = store.connect(path, busy=busy, read_only_ok=True)
except StateUnusable as error:
    print("lenient", type(error).__name__, error.message)
else:
    print("lenient", db.read_only, db.note)
    print("sessions", len(sessions.unsettled(db)))
    with store.reading(db):
        print("again", len(sessions.unsettled(db)))
    attempt("write", write)
"""


def answers(child: Any) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in child.finish().splitlines())


def make(path: str, session: Session) -> None:
    db = store.connect(path, busy=BUSY)
    with store.transaction(db):
        sessions.insert(db, session)
    db.close()


def test_a_read_only_place_still_answers(
    path: str, full_session: Session, freeze: Freeze, spawn: Callable[..., Any]
) -> None:
    make(path, full_session)
    freeze(Path(path).parent)
    said = answers(spawn(READ, path, plain=True))
    assert said["strict"].startswith("CannotWrite")
    assert "read-only" in said["strict"]
    assert said["lenient"] == f"True {path} is read-only"
    assert (said["sessions"], said["again"]) == ("1", "1")
    assert (said["check"], said["version"]) == ("[]", str(migrations.SCHEMA_VERSION))
    assert said["write"].startswith("CannotWrite")
    assert os.listdir(os.path.dirname(path)) == ["agentctl.db"]


def test_a_read_only_place_without_a_database_answers_empty(
    tmp_path: Path, freeze: Freeze, spawn: Callable[..., Any]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    freeze(bare)
    for path in (bare / "agentctl.db", bare / "deeper" / "agentctl.db"):
        said = answers(spawn(READ, str(path), plain=True))
        assert said["strict"].startswith("CannotWrite")
        assert said["lenient"] == f"True {path} is not there and cannot be made"
        assert (said["sessions"], said["again"]) == ("0", "0")
        assert said["write"].startswith("CannotWrite")
    assert os.listdir(bare) == []


def test_an_older_database_in_a_read_only_place_is_read_from_a_copy(
    path: str, freeze: Freeze, spawn: Callable[..., Any]
) -> None:
    """Version 0 with pages: its maker was killed between the journal mode and the tables."""
    os.makedirs(os.path.dirname(path))
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()
    assert os.path.getsize(path) > 0
    freeze(Path(path).parent)
    said = answers(spawn(READ, path, plain=True))
    assert said["lenient"] == f"True {path} is read-only and of an older version"
    assert said["sessions"] == "0"


def test_a_live_writers_changes_are_seen_through_a_read_only_door(
    path: str, full_session: Session, freeze: Freeze, spawn: Callable[..., Any]
) -> None:
    """The -wal and -shm of a running writer are there, so its commits can be read."""
    db = store.connect(path, busy=BUSY)
    with store.transaction(db):
        sessions.insert(db, full_session)
    freeze(Path(path).parent)
    said = answers(spawn(READ, path, plain=True))
    assert (said["lenient"], said["sessions"]) == (f"True {path} is read-only", "1")
    # Closed by leaving it open: a close would fail to tidy up in the read-only place.
    del db


def test_a_file_that_nobody_may_read_is_named(
    path: str, full_session: Session, spawn: Callable[..., Any]
) -> None:
    make(path, full_session)
    Path(path).chmod(0)
    said = answers(spawn(READ, path, plain=True))
    assert said["strict"].startswith("CannotWrite")
    assert said["lenient"].startswith("StateUnusable")
    assert "permission" in said["lenient"]


def test_a_directory_that_nobody_may_enter_is_named(
    path: str, full_session: Session, spawn: Callable[..., Any]
) -> None:
    make(path, full_session)
    Path(path).parent.chmod(0)
    said = answers(spawn(READ, path, plain=True))
    Path(path).parent.chmod(0o700)
    assert said["strict"].startswith("CannotWrite")
    assert said["lenient"].startswith("StateUnusable")
    assert "cannot be read" in said["lenient"]


FILL = """
import resource, signal, sys; from datetime import UTC, datetime, timedelta
from agentctl.errors import StateUnusable
from agentctl.store import counters, db as store, events
path, limit = sys.argv[1], int(sys.argv[2])
db = store.connect(path, busy=timedelta(seconds=1))
with store.transaction(db):
    counters.increment(db, "kept")
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
at = datetime(2026, 1, 1, tzinfo=UTC)
try:
    with store.transaction(db):
        counters.increment(db, "lost")
        for _ in range(2000):
            events.append(db, type="x", session_id=None, at=at, actor="a", reason="r" * 1000)
except StateUnusable as error:
    print("failed", type(error).__name__, error.message)
print("open", db.connection.in_transaction)
print("counters", counters.all(db))
print("events", events.last_cursor(db))
"""


def test_a_file_size_limit_is_a_full_disk(path: str, spawn: Callable[..., Any]) -> None:
    said = answers(spawn(FILL, path, str(600_000)))
    assert said["failed"].startswith("CannotWrite")
    assert "full" in said["failed"]
    assert (said["open"], said["counters"], said["events"]) == ("False", "{'kept': 1}", "0")
    assert store.check(path) == []


def test_a_full_file_system_loses_the_transaction_and_nothing_else(
    tmp_path: Path, mount: Callable[..., bool], spawn: Callable[..., Any]
) -> None:
    """A small tmpfs where it can be mounted; else a limit below the first page of the log."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small))
    said = answers(spawn(FILL, str(small / "agentctl.db"), "0" if mounted else "300000"))
    assert said["failed"].startswith("CannotWrite")
    assert "the disk or the quota is full" in said["failed"]
    assert (said["open"], said["counters"], said["events"]) == ("False", "{'kept': 1}", "0")
    assert store.check(str(small / "agentctl.db")) == []


LIMITED = (
    """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
"""
    + READ
)


@pytest.mark.parametrize("limit", [0, 4096, 40_000])
def test_no_room_for_a_new_database(path: str, limit: int, spawn: Callable[..., Any]) -> None:
    said = answers(spawn(LIMITED, path, str(limit)))
    assert said["strict"].startswith("CannotWrite")
    assert said["lenient"].startswith("True")
    assert said["sessions"] == "0"


def test_no_room_beside_an_old_database_still_answers(
    path: str, full_session: Session, spawn: Callable[..., Any]
) -> None:
    make(path, full_session)
    said = answers(spawn(LIMITED, path, "0"))
    assert said["strict"].startswith("CannotWrite")
    assert said["lenient"].startswith("True")
    assert said["sessions"] == "1"


def test_changes_that_cannot_be_read_are_not_left_out_silently(
    path: str, full_session: Session, freeze: Freeze, spawn: Callable[..., Any]
) -> None:
    """A -wal of a killed writer with its -shm gone: the file alone would show an older state."""
    killed = spawn(
        """
import os, signal, sys; from datetime import timedelta
from agentctl.store import counters, db as store
db = store.connect(sys.argv[1], busy=timedelta(seconds=1))
with store.transaction(db):
    counters.increment(db, "late")
os.kill(os.getpid(), signal.SIGKILL)
""",
        path,
    )
    killed.process.wait(timeout=30)
    os.unlink(f"{path}-shm")
    assert os.path.getsize(f"{path}-wal") > 0
    freeze(Path(path).parent)
    said = answers(spawn(READ, path, plain=True))
    assert said["lenient"].startswith("StateUnusable")
    assert "-wal" in said["lenient"]
    assert "-wal" in said["check"]
