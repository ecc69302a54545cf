"""Rows of fuses and of directory locks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from agentctl.core.model import Fuse, FuseAction, FuseState, Lock, Session, Status
from agentctl.store import db as store
from agentctl.store import fuses, locks
from agentctl.store.db import Database

Plant = Callable[[Session], Session]


def live(name: str, at: datetime) -> Session:
    return Session(id=name, adapter="exec", cwd="/w", status=Status.RUNNING, created_at=at)


def put(db: Database, *made: Fuse) -> None:
    with store.transaction(db):
        for fuse in made:
            fuses.insert(db, fuse)


def fuse(name: str, at: datetime, **values: object) -> Fuse:
    made = Fuse(id=name, deadline=at, action=FuseAction.NONE, created_at=at)
    return made._replace(**values)  # type: ignore[arg-type]  # a test's own field names


def test_every_field_of_a_fuse_comes_back(db: Database, plant: Plant, full_fuse: Fuse, t0: datetime) -> None:
    plant(live("s", t0))
    mine = full_fuse._replace(id="fuse-2", session_id="s", directory=None)
    plain = fuse("fuse-3", t0)
    for name in Fuse._fields:
        if name not in ("revision", "created_at", "session_id"):
            assert getattr(full_fuse, name) != getattr(plain, name), name
    put(db, full_fuse, mine, plain)
    assert [fuses.get(db, one.id) for one in (full_fuse, mine, plain)] == [full_fuse, mine, plain]
    assert fuses.get(db, "none") is None


@pytest.mark.parametrize("action", list(FuseAction))
@pytest.mark.parametrize("state", list(FuseState))
def test_every_action_and_state_is_kept(
    db: Database, t0: datetime, action: FuseAction, state: FuseState
) -> None:
    made = fuse("f", t0, action=action, state=state)
    put(db, made)
    assert fuses.get(db, "f") == made


def test_a_fuse_is_updated_by_compare_and_set(db: Database, t0: datetime) -> None:
    first = fuse("f", t0)
    put(db, first)
    with store.transaction(db):
        won = fuses.update(db, first._replace(state=FuseState.FIRED))
        lost = fuses.update(db, first._replace(state=FuseState.CANCELLED))
    assert won == first._replace(state=FuseState.FIRED, revision=1)
    assert lost is None
    assert fuses.get(db, "f") == won


def test_the_newest_fuse_of_a_session_counts(db: Database, plant: Plant, t0: datetime) -> None:
    for name in ("a", "b", "c"):
        plant(live(name, t0))
    later = t0 + timedelta(seconds=1)
    put(
        db,
        fuse("a-new", later, session_id="a"),
        fuse("a-old", t0, session_id="a"),
        fuse("b-1", t0, session_id="b"),
        fuse("b-2", t0, session_id="b", state=FuseState.CANCELLED),
    )
    newest = fuses.for_sessions(db, ["a", "b", "c", "unknown"])
    assert {key: one.id for key, one in newest.items()} == {"a": "a-new", "b": "b-2"}
    assert [getattr(fuses.for_session(db, key), "id", None) for key in "abc"] == ["a-new", "b-2", None]
    assert fuses.for_sessions(db, []) == {}


def test_armed_fuses_are_found_by_deadline_and_directory(db: Database, t0: datetime) -> None:
    second = timedelta(seconds=1)
    put(
        db,
        fuse("late", t0 + second, directory="/d\udcff"),
        fuse("soon", t0, directory="/d\udcff"),
        fuse("other", t0 + 2 * second, directory="/e"),
        fuse("spent", t0 + 3 * second, directory="/d\udcff", state=FuseState.FIRED),
    )
    assert [one.id for one in fuses.armed(db)] == ["soon", "late", "other"]
    assert [one.id for one in fuses.armed_for_directory(db, "/d\udcff")] == ["soon", "late"]
    assert [one.id for one in fuses.all(db)] == ["other", "late", "soon"]
    assert [one.id for one in fuses.all(db, include_ended=True)] == ["spent", "other", "late", "soon"]


def test_a_fuse_of_no_session_is_our_bug_not_the_users(db: Database, t0: datetime) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        put(db, fuse("f", t0, session_id="nobody"))
    assert fuses.get(db, "f") is None


def test_every_field_of_a_lock_comes_back(db: Database, plant: Plant, t0: datetime) -> None:
    plant(live("s", t0))
    with store.transaction(db):
        full = locks.acquire(
            db,
            directory="/d/\udcff",
            holder="ann",
            session_id="s",
            created_at=t0,
            reason="mine",
            expires_at=t0 + timedelta(hours=1),
        )
        bare = locks.acquire(db, directory="/e", holder="bob", session_id=None, created_at=t0)
    expected = Lock(
        id=full.id,
        directory="/d/\udcff",
        holder="ann",
        created_at=t0,
        session_id="s",
        reason="mine",
        expires_at=t0 + timedelta(hours=1),
    )
    assert full == expected
    assert locks.holders(db, "/d/\udcff") == [expected]
    assert locks.all(db) == [expected, bare]


def test_a_directory_takes_several_holders_and_each_frees_its_own(
    db: Database, plant: Plant, t0: datetime
) -> None:
    for name in ("a", "b"):
        plant(live(name, t0))
    with store.transaction(db):
        for name in ("a", "b"):
            locks.acquire(db, directory="/d", holder=name, session_id=name, created_at=t0)
        manual = locks.acquire(db, directory="/d", holder="ann", session_id=None, created_at=t0)
        locks.acquire(db, directory="/d/below", holder="bob", session_id=None, created_at=t0)
    assert [lock.holder for lock in locks.holders(db, "/d")] == ["a", "b", "ann"]
    with store.transaction(db):
        assert [lock.holder for lock in locks.release_session(db, "a")] == ["a"]
        assert locks.release_session(db, "a") == []
        assert locks.release(db, manual.id)
        assert not locks.release(db, manual.id)
    assert [lock.holder for lock in locks.holders(db, "/d")] == ["b"]
    with store.transaction(db):
        again = locks.acquire(db, directory="/d", holder="ann", session_id=None, created_at=t0)
    assert again.id > manual.id, "a lock's number is never used twice"
