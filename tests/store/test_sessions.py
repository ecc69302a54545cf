"""Rows of sessions: every field, every query, and what the queries cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.core.model import Fuse, FuseAction, Outcome, Session, Source, Status, StopCause
from agentctl.store import db as store
from agentctl.store import events, fuses, locks, outbox, sessions
from agentctl.store.db import Database

Plant = Callable[[Session], Session]


def session(key: str, at: datetime, status: Status = Status.RUNNING, **values: object) -> Session:
    made = Session(id=key, adapter="exec", cwd="/w", status=status, created_at=at)
    return made._replace(**values)  # type: ignore[arg-type]  # a test's own field names


def ids(found: list[Session]) -> list[str]:
    return [each.id for each in found]


def plans(db: Database, read: Callable[[], object]) -> list[str]:
    """The query plans of every statement that `read` runs."""
    statements: list[str] = []
    db.connection.set_trace_callback(statements.append)
    read()
    db.connection.set_trace_callback(None)
    assert statements
    lines = []
    for statement in statements:
        lines += [str(row[3]) for row in db.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    return lines


def test_every_field_comes_back(db: Database, plant: Plant, full_session: Session) -> None:
    bare = session("bare", full_session.created_at)
    for name in Session._fields:
        if name not in ("source", "revision"):
            assert getattr(full_session, name) != getattr(bare, name) or name == "created_at"
    plant(full_session)
    plant(bare)
    assert sessions.get(db, full_session.id) == full_session
    assert sessions.get(db, "bare") == bare
    assert sessions.get(db, "nobody") is None


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_every_word_of_the_vocabulary_is_kept(
    db: Database, plant: Plant, t0: datetime, status: Status, outcome: Outcome | None
) -> None:
    for cause in StopCause:
        planted = plant(session(f"{cause}", t0, status, outcome=outcome, stop_cause=cause))
        assert sessions.get(db, planted.id) == planted


def test_text_that_is_not_utf8_comes_back(db: Database, plant: Plant, t0: datetime) -> None:
    texts: dict[str, Any] = {"cwd": "/d/\udcff", "name": "n\udcff", "group": "g\udcff", "prompt": "a\0b"}
    planted = plant(session("a", t0, args=("\udcfe",), **texts))
    assert sessions.get(db, "a") == planted
    assert ids(sessions.candidates(db, "n\udcff")) == ["a"]
    assert ids(sessions.in_group(db, "g\udcff")) == ["a"]
    with store.transaction(db):
        changed = sessions.update(db, planted._replace(result="cut \ud83d here"))
    assert changed is not None
    assert getattr(sessions.get(db, "a"), "result", None) == "cut \ufffd here"


def test_an_external_session_has_no_row(db: Database, t0: datetime) -> None:
    with pytest.raises(ValueError, match="not tracked"), store.transaction(db):
        sessions.insert(db, session("a", t0, source=Source.EXTERNAL))


def test_update_is_compare_and_set(db: Database, plant: Plant, t0: datetime) -> None:
    first = plant(session("a", t0))
    with store.transaction(db):
        won = sessions.update(db, first._replace(status=Status.STOPPING))
    assert won == first._replace(status=Status.STOPPING, revision=1)
    assert sessions.get(db, "a") == won
    with store.transaction(db):
        assert sessions.update(db, first._replace(status=Status.ERROR)) is None
        assert sessions.update(db, session("nobody", t0)) is None
    assert sessions.get(db, "a") == won


def test_unsettled_are_the_live_and_the_lingering(db: Database, plant: Plant, t0: datetime) -> None:
    for number, status in enumerate(Status):
        plant(session(f"{status}", t0 + timedelta(seconds=number), status))
    plant(session("lingers", t0 - timedelta(days=9), Status.STOPPED, lingering=True))
    assert ids(sessions.unsettled(db)) == ["stopping", "idle", "running", "starting", "lingers"]


def test_recent_is_settled_newest_first_and_narrowed(db: Database, plant: Plant, t0: datetime) -> None:
    plant(session("live", t0))
    plant(session("lingers", t0, Status.STOPPED, lingering=True, ended_at=t0))
    hour = timedelta(hours=1)
    plant(session("old", t0 - 9 * hour, Status.STOPPED, ended_at=t0 - hour))
    plant(session("new", t0 - 2 * hour, Status.ERROR, ended_at=t0, group="g", name="n"))
    plant(session("mid", t0 - 3 * hour, Status.STOPPED, ended_at=t0, adapter="demo"))
    assert ids(sessions.recent(db)) == ["new", "mid", "old"]
    assert ids(sessions.recent(db, limit=1)) == ["new"]
    assert ids(sessions.recent(db, since=t0)) == ["new", "mid"]
    assert ids(sessions.recent(db, since=t0 + timedelta(microseconds=1))) == []
    assert ids(sessions.recent(db, adapter="demo")) == ["mid"]
    assert ids(sessions.recent(db, status=Status.ERROR)) == ["new"]
    assert ids(sessions.recent(db, group="g", name="n")) == ["new"]
    assert ids(sessions.recent(db, group="g", name="x")) == []
    assert ids(sessions.older_than(db, t0)) == ["old"]


def test_candidates_by_id_native_id_and_name(db: Database, plant: Plant, t0: datetime) -> None:
    plant(session("aaaa-1", t0, native_id="ses_X1", name="Fix"))
    plant(session("aaab-2", t0 + timedelta(seconds=1), native_id="ses_X2", name="aaaa"))
    plant(session("b", t0 + timedelta(seconds=2), native_id="aaaa"))
    assert ids(sessions.candidates(db, "aaaa")) == ["b", "aaab-2", "aaaa-1"]
    assert ids(sessions.candidates(db, "AAAA-1")) == ["aaaa-1"]
    assert ids(sessions.candidates(db, "ses_X")) == ["aaab-2", "aaaa-1"]
    assert ids(sessions.candidates(db, "ses_x")) == []
    assert ids(sessions.candidates(db, "Fix")) == ["aaaa-1"]
    assert ids(sessions.candidates(db, "Fi")) == []
    assert ids(sessions.candidates(db, "")) == []


@pytest.mark.parametrize("text", ["%", "_", "*", "?", "[a]", "a%", "ses_%", "a*", "'", '"', "\\"])
def test_wildcards_are_ordinary_characters(db: Database, plant: Plant, t0: datetime, text: str) -> None:
    plant(session("aaaa", t0, native_id="sesX1", name="plain"))
    assert sessions.candidates(db, text) == []
    plant(session("b", t0, native_id=f"{text}1"))
    assert ids(sessions.candidates(db, text)) == ["b"]


def test_names_natives_groups_and_children(db: Database, plant: Plant, t0: datetime) -> None:
    plant(session("a", t0, name="one", native_id="n1", group="g"))
    plant(session("b", t0, Status.STOPPED, name="two", native_id="n2", parent_id="a"))
    plant(session("c", t0, Status.STOPPED, name="three", lingering=True, group="g", parent_id="a"))
    plant(session("d", t0, adapter="demo", native_id="n3"))
    assert sessions.live_names(db) == {"one": "a", "three": "c"}
    assert sessions.native_ids(db, ["n2", "n3", "n9", "\udcff"]) == {"n2", "n3"}, "whatever the adapter"
    assert sessions.native_ids(db, []) == set()
    assert sessions.all_ids(db) == {"a", "b", "c", "d"}
    assert ids(sessions.in_group(db, "g")) == ["a", "c"]
    assert ids(sessions.children(db, "a")) == ["b", "c"]


def test_delete_takes_fuses_locks_and_done_deliveries(db: Database, plant: Plant, t0: datetime) -> None:
    for name in ("gone", "stays"):
        plant(session(name, t0, Status.STOPPED, ended_at=t0))
        with store.transaction(db):
            fuse = Fuse(id=name, deadline=t0, action=FuseAction.STOP, created_at=t0, session_id=name)
            fuses.insert(db, fuse)
            locks.acquire(db, directory="/w", holder=name, session_id=name, created_at=t0)
            events.append(db, type="session.stopped", session_id=name, at=t0, actor="x", reason=None)
            for target in ("finished", "waiting"):
                made = outbox.enqueue(
                    db,
                    Delivery(
                        kind=DeliveryKind.HOOK,
                        name="h",
                        target=target,
                        event_id=name,
                        payload={},
                        created_at=t0,
                        session_id=name,
                    ),
                )
                if target == "finished":
                    outbox.finish(db, made, delivered_at=t0, output=None)
    with store.transaction(db):
        assert sessions.delete(db, ["gone", "never"]) == 1
    assert sessions.all_ids(db) == {"stays"}
    assert [fuse.id for fuse in fuses.all(db, include_ended=True)] == ["stays"]
    assert [lock.holder for lock in locks.all(db)] == ["stays"]
    assert {event.session_id for event in events.since(db, 0, limit=9)} == {"gone", "stays"}
    assert [(row.session_id, row.target) for row in outbox.list_all(db)] == [
        ("stays", "waiting"),
        ("stays", "finished"),
        ("gone", "waiting"),
    ]


@pytest.mark.parametrize(
    ("read", "index"),
    [
        (lambda db, at: sessions.unsettled(db), "sessions_unsettled"),
        (lambda db, at: sessions.live_names(db), "sessions_unsettled"),
        (lambda db, at: sessions.recent(db, since=at), "sessions_ended"),
        (lambda db, at: sessions.recent(db, limit=5), "sessions_created"),
        (lambda db, at: sessions.older_than(db, at), "sessions_ended"),
        (lambda db, at: sessions.in_group(db, "g"), "sessions_group"),
        (lambda db, at: sessions.children(db, "g"), "sessions_parent"),
        (lambda db, at: sessions.native_ids(db, ["n"]), "sessions_native"),
        (lambda db, at: fuses.armed(db), "fuses_armed"),
        (lambda db, at: fuses.armed_for_directory(db, "/d"), "fuses_armed"),
        (lambda db, at: fuses.for_sessions(db, ["a"]), "fuses_session"),
        (lambda db, at: locks.holders(db, "/d"), "locks_directory"),
        (lambda db, at: outbox.count_due(db, at), "outbox_pending"),
        (lambda db, at: outbox.due(db, at), "outbox_pending"),
        (lambda db, at: events.since(db, 0, limit=100, session_id="a"), "events_session"),
        (lambda db, at: events.cursor_at(db, at), "events_at"),
    ],
)
def test_a_query_uses_its_index(
    db: Database, t0: datetime, read: Callable[[Database, datetime], object], index: str
) -> None:
    lines = plans(db, lambda: read(db, t0))
    assert any(f"INDEX {index}" in line for line in lines), lines


def test_candidates_search_three_indexes_and_scan_no_table(db: Database) -> None:
    lines = plans(db, lambda: sessions.candidates(db, "abc"))
    for part in (
        "sqlite_autoindex_sessions_1 (id>? AND id<?)",
        "sessions_native (native_id>",
        "sessions_name",
    ):
        assert any(line.startswith("SEARCH sessions") and part in line for line in lines), lines
    assert not any(line.startswith("SCAN sessions") for line in lines), lines


def test_unsettled_reads_no_settled_row(db: Database, t0: datetime) -> None:
    """Counted in virtual machine steps, which no load of the machine changes."""
    with store.transaction(db):
        sessions.insert(db, session("live", t0))

    def steps() -> int:
        counted = 0

        def tick() -> int:
            nonlocal counted
            counted += 1
            return 0

        db.connection.set_progress_handler(tick, 1)
        sessions.unsettled(db)
        db.connection.set_progress_handler(None, 0)
        return counted

    alone = steps()
    with store.transaction(db):
        for number in range(2000):
            sessions.insert(db, session(f"s{number}", t0, Status.STOPPED, ended_at=t0))
    assert steps() == alone
