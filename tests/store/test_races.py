"""Real processes at once. Each test starts several interpreters, which takes seconds on a small machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.core.model import Session, Status
from agentctl.store import counters, events, migrations, outbox, sessions
from agentctl.store import db as store
from agentctl.store.db import Database

Spawn = Callable[..., Any]

HEAD = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.core.model import Status
from agentctl.store import counters, db as store, events, migrations, outbox, sessions
BUSY = timedelta(seconds=30)
path = sys.argv[1]
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def run_at_once(spawn: Spawn, count: int, script: str, *arguments: str) -> list[str]:
    """What each of `count` processes printed after all were let go together."""
    children = [spawn(HEAD + script, *arguments) for _ in range(count)]
    for child in children:
        assert child.says() == "ready"
    for child in children:
        child.go()
    return [child.finish() for child in children]


def test_twenty_processes_open_a_brand_new_state(path: str, spawn: Spawn) -> None:
    script = """
ready()
db = store.connect(path, busy=BUSY)
with store.transaction(db):
    counters.increment(db, "opened")
print(db.read_only, db.note)
"""
    assert run_at_once(spawn, 20, script, path) == ["False None"] * 20
    db = store.connect(path, busy=timedelta(seconds=1))
    assert counters.all(db) == {"opened": 20}
    assert db.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    db.close()
    assert os.listdir(os.path.dirname(path)) == ["agentctl.db"]
    assert store.check(path) == []


def test_no_increment_is_lost(db: Database, path: str, spawn: Spawn, full_session: Session) -> None:
    with store.transaction(db):
        sessions.insert(db, full_session)
    start = full_session.turns or 0
    script = """
db = store.connect(path, busy=BUSY)
ready()
done = tries = 0
while done < 25:
    tries += 1
    row = sessions.get(db, sys.argv[2])
    with store.transaction(db):
        if sessions.update(db, row._replace(turns=row.turns + 1)) is not None:
            done += 1
print(tries)
"""
    tries = [int(text) for text in run_at_once(spawn, 4, script, path, full_session.id)]
    final = sessions.get(db, full_session.id)
    assert final is not None
    assert (final.turns, final.revision) == (start + 100, 100)
    assert min(tries) >= 25


def test_each_transition_is_won_exactly_once(
    db: Database, path: str, spawn: Spawn, full_session: Session
) -> None:
    names = [f"s{number}" for number in range(20)]
    with store.transaction(db):
        for name in names:
            row = Session(
                id=name, adapter="exec", cwd="/w", status=Status.RUNNING, created_at=full_session.created_at
            )
            sessions.insert(db, row)
    script = """
db = store.connect(path, busy=BUSY)
rows = sessions.unsettled(db)
ready()
won = 0
for row in rows:
    with store.transaction(db):
        if sessions.update(db, row._replace(status=Status.STOPPED)) is not None:
            won += 1
            me, at = str(os.getpid()), row.created_at
            events.append(db, type="session.stopped", session_id=row.id, at=at, actor=me, reason=None)
            outbox.enqueue(db, Delivery(DeliveryKind.HOOK, "h", me, row.id, {}, at, row.id))
print(won)
"""
    wins = [int(text) for text in run_at_once(spawn, 5, script, path)]
    assert sum(wins) == len(names)
    assert sorted(str(event.session_id) for event in events.since(db, 0, limit=999)) == sorted(names)
    assert sorted(row.event_id for row in outbox.list_all(db)) == sorted(names)
    assert sessions.unsettled(db) == []


def test_each_delivery_is_claimed_exactly_once(
    db: Database, path: str, spawn: Spawn, full_session: Session
) -> None:
    with store.transaction(db):
        for number in range(30):
            outbox.enqueue(
                db,
                Delivery(
                    kind=DeliveryKind.HOOK,
                    name="h",
                    target="t",
                    event_id=f"{number}",
                    payload={},
                    created_at=full_session.created_at,
                    session_id=None,
                ),
            )
    script = """
db = store.connect(path, busy=BUSY)
now = datetime(2027, 1, 1, tzinfo=UTC)
ready()
for row in outbox.due(db, now):
    with store.transaction(db):
        if outbox.claim(db, row.id, now=now, until=now + timedelta(hours=1)) is not None:
            print(row.event_id)
"""
    claimed = " ".join(run_at_once(spawn, 4, script, path)).split()
    assert sorted(claimed) == sorted(str(number) for number in range(30))


def test_a_writer_killed_in_its_transaction_changes_nothing(
    db: Database, path: str, spawn: Spawn, full_session: Session
) -> None:
    with store.transaction(db):
        sessions.insert(db, full_session)
    script = """
db = store.connect(path, busy=BUSY)
with store.transaction(db):
    row = sessions.get(db, sys.argv[2])
    sessions.update(db, row._replace(status=Status.STOPPED))
    for _ in range(3000):
        events.append(db, type="x", session_id=None, at=row.created_at, actor="a", reason="r" * 1000)
    db.connection.execute("PRAGMA cache_spill = ON")
    ready()
"""
    child = spawn(HEAD + script, path, full_session.id)
    assert child.says() == "ready"
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait(timeout=30)
    assert sessions.get(db, full_session.id) == full_session
    assert events.last_cursor(db) == 0
    with store.transaction(db, busy=timedelta(seconds=5)):
        counters.increment(db, "free")
    fresh = store.connect(path, busy=timedelta(seconds=5))
    assert sessions.get(fresh, full_session.id) == full_session
    fresh.close()
    assert store.check(path) == []


def test_a_crash_between_migration_steps_leaves_the_first(
    path: str, spawn: Spawn, full_session: Session
) -> None:
    script = """
def halfway(connection):
    connection.execute("CREATE TABLE halfway (x)")
    connection.execute("ALTER TABLE sessions ADD COLUMN extra TEXT")
    os.kill(os.getpid(), signal.SIGKILL)
migrations.MIGRATIONS.append(halfway)
migrations.SCHEMA_VERSION += 1
store.connect(path, busy=BUSY)
"""
    child = spawn(HEAD + script, path)
    assert child.process.wait(timeout=30) == -signal.SIGKILL
    assert store.dump_version(path) == migrations.SCHEMA_VERSION
    db = store.connect(path, busy=timedelta(seconds=5))
    tables = {row[0] for row in db.connection.execute("SELECT name FROM sqlite_schema")}
    assert "sessions" in tables
    assert "halfway" not in tables
    with store.transaction(db):
        sessions.insert(db, full_session)
    assert sessions.get(db, full_session.id) == full_session
    db.close()


def test_a_crash_inside_the_first_step_leaves_a_new_database(path: str, spawn: Spawn) -> None:
    script = """
def die(connection):
    migrations.m0001_first_release(connection)
    os.kill(os.getpid(), signal.SIGKILL)
migrations.MIGRATIONS[0] = die
store.connect(path, busy=BUSY)
"""
    child = spawn(HEAD + script, path)
    assert child.process.wait(timeout=30) == -signal.SIGKILL
    assert store.dump_version(path) == 0
    db = store.connect(path, busy=timedelta(seconds=5))
    assert sessions.unsettled(db) == []
    db.close()
