"""`agentctl prune`: what it forgets, and all that it leaves alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Held, Outcome, Status
from agentctl.host import flock
from agentctl.store import db as store
from agentctl.store import sessions
from tests.modest import modestly

Run = Callable[..., Any]
Wait = Callable[..., Any]
STRAY = "0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001"


@pytest.fixture
def ended(run: Run, sealed_home: Path, wait_until: Wait) -> Callable[..., str]:
    """A session that has ended, its shim gone; `ago` moves its end into the past."""

    def launch(options: str = "", *, ago: timedelta = timedelta()) -> str:
        session_id: str = run(f"launch exec --force {options} -- true").stdout.strip()
        wait_until(lambda: flock.probe(str(sealed_home / "sessions" / session_id / "lock")) is Held.NO)
        if ago:
            edit(sealed_home, session_id, ago=ago)
        return session_id

    return launch


def edit(home: Path, session_id: str, *, ago: timedelta = timedelta(), lingering: bool = False) -> None:
    db = store.connect(str(home / "agentctl.db"), busy=timedelta(seconds=5))
    with store.transaction(db):
        row = sessions.get(db, session_id)
        assert row is not None and row.ended_at is not None
        assert sessions.update(db, row._replace(ended_at=row.ended_at - ago, lingering=lingering)) is not None
    db.close()


def ids(run: Run) -> set[str]:
    return {one["id"] for one in run("list -a --since 3650d --json").json()["sessions"]}


def test_old_sessions_go_and_young_and_live_ones_stay(
    run: Run, ended: Callable[..., str], sealed_home: Path
) -> None:
    old, young = ended(ago=timedelta(days=8)), ended(ago=timedelta(days=6))
    live = run("launch exec --force -- sleep 120").stdout.strip()
    told = run("prune --json").json()
    assert (told["forgotten"], told["kept"], told["orphans"]) == ([old], [], [])
    assert told["freed_bytes"] > 0
    assert ids(run) == {young, live}
    assert {one.name for one in (sealed_home / "sessions").iterdir()} == {young, live}
    kept = [json.loads(line)["type"] for line in run(f"events --json --session {old}").lines]
    assert kept == ["session.started", "session.stopped"]


def test_age_is_given_or_configured(run: Run, ended: Callable[..., str]) -> None:
    one = ended(ago=timedelta(hours=3))
    assert run("prune --older-than 4h --json").json()["forgotten"] == []
    run("config set prune.older_than 4h")
    assert run("prune --json").json()["forgotten"] == []
    run("config set prune.older_than 2h")
    assert run("prune --json").json()["forgotten"] == [one]


def test_a_dry_run_says_the_same_and_does_nothing(
    run: Run, ended: Callable[..., str], sealed_home: Path
) -> None:
    one = ended()
    told = run("prune --older-than 0 --dry-run")
    assert one[:8] in told.stdout
    assert "1 session would be forgotten" in told.stderr
    assert ids(run) == {one}
    assert (sealed_home / "sessions" / one / "output.log").exists()
    assert run("prune --older-than 0 -q").stdout == one + "\n"
    assert ids(run) == set()


def test_a_lingering_session_is_never_touched(run: Run, ended: Callable[..., str], sealed_home: Path) -> None:
    live = run("launch exec --force -- sleep 120").stdout.strip()
    db = store.connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=5))
    with store.transaction(db):
        row = sessions.get(db, live)
        assert row is not None
        old = row.created_at - timedelta(days=30)
        final = row._replace(status=Status.STOPPED, outcome=Outcome.UNLISTED, ended_at=old, lingering=True)
        assert sessions.update(db, final) is not None
    db.close()
    assert run("prune --older-than 0 --json").json()["forgotten"] == []
    assert (sealed_home / "sessions" / live / "pid").exists()


def test_one_whose_shim_is_still_at_work_is_kept(
    run: Run, ended: Callable[..., str], sealed_home: Path
) -> None:
    one = ended(ago=timedelta(days=8))
    held = flock.hold(str(sealed_home / "sessions" / one / "lock"))
    assert run("prune --json").json()["kept"] == [{"id": one, "reason": "its shim is still at work"}]
    os.close(held)
    assert run("prune --json").json()["forgotten"] == [one]


def test_one_with_something_to_deliver_is_kept(
    run: Run, ended: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", "http://127.0.0.1:9/")
    one = ended(ago=timedelta(days=8))
    told = run("prune --json").json()
    assert [kept["id"] for kept in told["kept"]] == [one]
    assert "still to be delivered" in told["kept"][0]["reason"]
    assert ids(run) == {one}


def test_what_a_killed_prune_left_is_deleted_by_the_next(
    run: Run, ended: Callable[..., str], sealed_home: Path
) -> None:
    one = ended()
    directory = sealed_home / "sessions" / one
    db = store.connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=5))
    with store.transaction(db):
        sessions.delete(db, [one])
    db.close()
    assert run("prune --json").json()["orphans"] == []
    os.utime(directory, (1, 1))
    held = flock.hold(str(directory / "lock"))
    assert run("prune --json").json()["orphans"] == []
    os.close(held)
    assert run("prune --json").json()["orphans"] == [one]
    assert not directory.exists()


def test_what_is_no_session_of_ours_is_left_alone(run: Run, sealed_home: Path, tmp_path: Path) -> None:
    run("reap")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    places = sealed_home / "sessions"
    places.mkdir(exist_ok=True, mode=0o700)
    (places / "backup").mkdir()
    (places / STRAY).symlink_to(outside)
    for path in (outside, places / "backup"):
        os.utime(path, (1, 1))
    assert run("prune --older-than 0 --json").json()["orphans"] == []
    assert sorted(one.name for one in places.iterdir()) == [STRAY, "backup"]
    assert (outside / "precious").exists()


def test_links_in_a_session_are_not_followed(
    run: Run, ended: Callable[..., str], sealed_home: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    inner, whole = ended(), ended()
    (sealed_home / "sessions" / inner / "link").symlink_to(outside)
    moved = tmp_path / "moved"
    (sealed_home / "sessions" / whole).rename(moved)
    (sealed_home / "sessions" / whole).symlink_to(moved)
    assert set(run("prune --older-than 0 --json").json()["forgotten"]) == {inner, whole}
    assert list((sealed_home / "sessions").iterdir()) == []
    assert (outside / "precious").exists()
    assert (moved / "output.log").exists()


def test_what_cannot_be_deleted_is_named(ended: Callable[..., str], sealed_home: Path) -> None:
    directory = sealed_home / "sessions" / ended(ago=timedelta(days=8))
    directory.chmod(0o500)
    try:
        done = modestly("prune --json")
    finally:
        for left in (sealed_home / "sessions").iterdir():
            left.chmod(0o700)
    assert done.returncode == 3, done
    (left_path,) = json.loads(done.stdout)["not_deleted"]
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["message"]) == ("partly_done", f"could not be deleted: {left_path}")
