"""Events, outbox, counters and the discovery cache."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState, Event
from agentctl.store import counters, discovery, events, outbox
from agentctl.store import db as store
from agentctl.store.db import Database

MINUTE = timedelta(minutes=1)


def append(db: Database, kind: str, at: datetime, session_id: str | None = None) -> int:
    with store.transaction(db):
        return events.append(db, type=kind, session_id=session_id, at=at, actor="list", reason=None)


def queue(db: Database, at: datetime, target: str = "true", **values: Any) -> int:
    row: dict[str, Any] = {
        "kind": DeliveryKind.HOOK,
        "name": "on_complete",
        "event_id": "e1",
        "payload": {},
        "session_id": None,
    }
    with store.transaction(db):
        return outbox.enqueue(db, Delivery(target=target, created_at=at, **{**row, **values}))


def claim(db: Database, number: int, at: datetime, until: datetime) -> Delivery | None:
    with store.transaction(db):
        return outbox.claim(db, number, now=at, until=until)


def test_every_field_of_an_event_comes_back(db: Database, t0: datetime) -> None:
    data = {"exit_code": 1, "deep": {"list": [1, None, "ü\udcff"]}}
    with store.transaction(db):
        cursor = events.append(
            db, type="session.stopped", session_id="s", at=t0, actor="reap", reason="exit 1", data=data
        )
    expected = Event(
        cursor=cursor, type="session.stopped", session_id="s", at=t0, actor="reap", reason="exit 1", data=data
    )
    assert events.since(db, 0, limit=10) == [expected]
    assert events.since(db, 0, limit=100, session_id="s") == [expected]


def test_events_are_read_on_from_a_cursor(db: Database, t0: datetime) -> None:
    cursors = [append(db, kind, t0, who) for kind, who in (("a", "s"), ("b", None), ("a", "t"), ("c", "s"))]
    assert cursors == sorted(set(cursors))
    assert events.last_cursor(db) == cursors[-1]
    assert [event.cursor for event in events.since(db, cursors[1], limit=10)] == cursors[2:]
    assert [event.cursor for event in events.since(db, 0, limit=2)] == cursors[:2]
    assert [event.type for event in events.since(db, 0, limit=9, types=["a", "c"])] == ["a", "a", "c"]
    assert [event.type for event in events.since(db, 0, limit=9, types=["a"], session_id="t")] == ["a"]
    assert events.since(db, cursors[-1], limit=9) == []


def test_a_cursor_of_a_time_misses_nothing(db: Database, t0: datetime) -> None:
    assert events.cursor_at(db, t0) == events.last_cursor(db) == 0
    first, second, late, fourth = (append(db, "x", t0 + n * MINUTE) for n in (0, 1, -5, 2))
    assert events.cursor_at(db, t0 + MINUTE) == first
    assert events.cursor_at(db, t0) == 0
    assert events.cursor_at(db, t0 + 2 * MINUTE) == late
    assert events.cursor_at(db, t0 + 3 * MINUTE) == fourth
    assert second < late


def test_every_field_of_a_delivery_comes_back(db: Database, t0: datetime) -> None:
    number = queue(
        db,
        t0,
        kind="webhook",
        name="session.stopped",
        target="https://example.org/\udcff",
        event_id="e9",
        payload={"a": [1]},
        session_id="s",
    )
    with store.transaction(db):
        assert outbox.claim(db, number, now=t0, until=t0 + MINUTE) is not None
        assert outbox.fail(db, number, error="refused", output="out\udcff", next_attempt_at=t0 + MINUTE)
        taken = outbox.claim(db, number, now=t0 + MINUTE, until=t0 + 2 * MINUTE)
    expected = Delivery(
        id=number,
        kind=DeliveryKind.WEBHOOK,
        name="session.stopped",
        target="https://example.org/\udcff",
        event_id="e9",
        payload={"a": [1]},
        created_at=t0,
        session_id="s",
        state=DeliveryState.PENDING,
        attempts=2,
        next_attempt_at=t0 + MINUTE,
        claimed_until=t0 + 2 * MINUTE,
        last_error="refused",
        output="out\udcff",
    )
    assert taken == expected
    with store.transaction(db):
        assert outbox.finish(db, number, delivered_at=t0 + 3 * MINUTE, output="ok")
    (done,) = outbox.list_all(db)
    assert (done.state, done.delivered_at, done.output) == (DeliveryState.DONE, t0 + 3 * MINUTE, "ok")
    assert (done.attempts, done.claimed_until, done.next_attempt_at, done.last_error) == (2, None, None, None)
    seen = {name for name in Delivery._fields if getattr(expected, name) is not None}
    assert seen == set(Delivery._fields) - {"delivered_at"}


def test_the_same_delivery_is_queued_once(db: Database, t0: datetime) -> None:
    first = queue(db, t0)
    assert queue(db, t0 + MINUTE) == first
    others = {queue(db, t0, "false"), queue(db, t0, event_id="e2"), queue(db, t0, name="x")}
    assert len({first, *others}) == 4
    assert outbox.count_due(db, t0) == 4


def test_a_claim_is_won_once_and_expires(db: Database, t0: datetime) -> None:
    number = queue(db, t0)
    assert getattr(claim(db, number, t0, t0 + MINUTE), "attempts", None) == 1
    just_before = t0 + MINUTE - timedelta(microseconds=1)
    assert claim(db, number, just_before, t0 + 9 * MINUTE) is None
    assert (outbox.due(db, just_before), outbox.count_due(db, just_before)) == ([], 0)
    assert [row.id for row in outbox.due(db, t0 + MINUTE)] == [number]
    assert getattr(claim(db, number, t0 + MINUTE, t0 + 2 * MINUTE), "attempts", None) == 2
    assert claim(db, 12345, t0, t0 + MINUTE) is None


def test_a_failure_waits_or_gives_up(db: Database, t0: datetime) -> None:
    number = queue(db, t0)
    claim(db, number, t0, t0 + MINUTE)
    with store.transaction(db):
        outbox.fail(db, number, error="x", output=None, next_attempt_at=t0 + 5 * MINUTE)
    assert outbox.due(db, t0 + 4 * MINUTE) == []
    assert [row.last_error for row in outbox.due(db, t0 + 5 * MINUTE)] == ["x"]
    with store.transaction(db):
        outbox.fail(db, number, error="y", output="o", next_attempt_at=None)
    assert outbox.count_due(db, t0 + 99 * MINUTE) == 0
    (row,) = outbox.list_all(db, failed_only=True)
    assert (row.state, row.last_error, row.output) == (DeliveryState.FAILED, "y", "o")


def test_a_late_failure_does_not_undo_a_delivery(db: Database, t0: datetime) -> None:
    number = queue(db, t0)
    with store.transaction(db):
        assert outbox.finish(db, number, delivered_at=t0, output=None)
        assert not outbox.fail(db, number, error="late", output=None, next_attempt_at=None)
    assert [row.state for row in outbox.list_all(db)] == [DeliveryState.DONE]


def test_retry_makes_an_undelivered_row_due_unless_somebody_is_at_it(db: Database, t0: datetime) -> None:
    rows = {name: queue(db, t0, name) for name in ("done", "failed", "waiting", "busy")}
    with store.transaction(db):
        for name in ("done", "failed", "waiting", "busy"):
            outbox.claim(db, rows[name], now=t0, until=t0 + MINUTE)
        outbox.finish(db, rows["done"], delivered_at=t0, output=None)
        outbox.fail(db, rows["failed"], error="x", output=None, next_attempt_at=None)
        outbox.fail(db, rows["waiting"], error="x", output=None, next_attempt_at=t0 + 9 * MINUTE)
        retried = [name for name, number in rows.items() if outbox.retry(db, number, t0)]
    assert retried == ["failed", "waiting"]
    assert [(row.target, row.attempts) for row in outbox.due(db, t0)] == [(name, 1) for name in retried]


def test_deliveries_are_listed_newest_first(db: Database, t0: datetime) -> None:
    first, second = queue(db, t0, "a", session_id="s"), queue(db, t0, "b")
    assert [row.id for row in outbox.list_all(db)] == [second, first]
    assert [row.id for row in outbox.list_all(db, limit=1)] == [second]
    assert [row.id for row in outbox.list_all(db, session_id="s")] == [first]
    assert outbox.list_all(db, failed_only=True) == []


def test_counters_add_up(db: Database) -> None:
    assert counters.all(db) == {}
    with store.transaction(db):
        counters.increment(db, "sessions_total.failed")
        counters.increment(db, "sessions_total.failed", by=4)
        counters.increment(db, "fuses_expired_total")
    assert counters.all(db) == {"fuses_expired_total": 1, "sessions_total.failed": 5}


def test_discovery_keeps_one_entry_a_path(db: Database) -> None:
    with store.transaction(db):
        discovery.put(db, "pi", "/a\udcff", 1, 2, '{"x":1}')
        discovery.put(db, "pi", "/b", 1, 2, "b")
        discovery.put(db, "codex", "/b", 5, 6, "other")
        discovery.put(db, "pi", "/b", 2**62, 0, "ü")
    assert discovery.get(db, "pi") == {"/a\udcff": (1, 2, '{"x":1}'), "/b": (2**62, 0, "ü")}
    with store.transaction(db):
        assert discovery.drop(db, "pi", ["/a\udcff", "/none"]) == 1
    assert set(discovery.get(db, "pi")) == {"/b"}
    assert discovery.get(db, "codex")["/b"].payload == "other"
    assert discovery.get(db, "none") == {}
