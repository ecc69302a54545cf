"""A database that is damaged, gone or in use, with real agents that go on all the while."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Held
from agentctl.host import flock

Run = Callable[..., Any]
Wait = Callable[..., Any]


@pytest.fixture
def path(sealed_home: Path) -> Path:
    return sealed_home / "agentctl.db"


def session(run: Run, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = run(f"status --json {session_id}").json()["sessions"][0]
    return found


def launch(run: Run, command: str, cwd: Path) -> str:
    cwd.mkdir(exist_ok=True)
    started: str = run(f"launch --cwd {cwd} {command}").stdout.strip()
    return started


def is_free(path: Path, session_id: str) -> bool:
    """The session's shim has left, and with it whatever it called."""
    return flock.probe(str(path.parent / "sessions" / session_id / "lock")) is Held.NO


def garbage(path: Path) -> None:
    """What a full disk or a bad sync leaves: the size is right, the content is not."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"\xde\xad" * (path.stat().st_size // 2))


def truncated(path: Path) -> None:
    """The header is whole, most of the rest is gone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(path, 3 * 4096)


def gone(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize("damage", [garbage, truncated, gone])
def test_live_ended_and_ending_sessions_come_back_as_they_are(
    run: Run, path: Path, tmp_path: Path, wait_until: Wait, damage: Callable[[Path], None]
) -> None:
    go = tmp_path / "go"
    ended = launch(run, "exec -- true", tmp_path / "a")
    live = launch(run, "exec --fuse 1h -- sleep 120", tmp_path / "b")
    ending = launch(run, f"exec -- sh -c 'until [ -e {go} ]; do sleep 0.05; done; exit 5'", tmp_path / "c")
    wait_until(lambda: is_free(path, ended))
    before = session(run, live)

    damage(path)
    go.touch()
    exit_file = path.parent / "sessions" / ending / "exit"
    wait_until(exit_file.exists)
    told = run("doctor --rebuild --json").json()

    assert (told["sessions"], told["live"]) == (3, 1)
    assert (told["ended"], told["unreadable"]) == ([ending], [])
    after = session(run, live)
    moving = {"duration_ms": 0, "reason": "of this instant"}
    assert {**after, **moving} == {**before, **moving}
    assert after["status"] == "running"
    assert after["fuse"]["state"] == "armed"
    assert (session(run, ended)["outcome"], session(run, ended)["exit_code"]) == ("succeeded", 0)
    assert (session(run, ending)["outcome"], session(run, ending)["exit_code"]) == ("failed", 5)
    assert run("doctor --json").json()["healthy"] is True

    refused = run(f"launch --cwd {tmp_path / 'b'} exec -- true", exit=11)
    assert live[:8] in refused.stderr
    launch(run, "exec -- true", tmp_path / "c")
    run(f"stop {live}")
    assert session(run, live)["outcome"] == "cancelled"


def test_the_old_database_is_kept_and_what_cannot_come_back_is_said(
    run: Run, path: Path, tmp_path: Path, wait_until: Wait
) -> None:
    ended = launch(run, "exec -- true", tmp_path / "a")
    wait_until(lambda: is_free(path, ended))
    garbage(path)
    content = path.read_bytes()
    told = run("doctor --rebuild")
    (aside,) = path.parent.glob("agentctl.db.damaged-*")
    assert aside.read_bytes() == content
    for words in (str(aside), "events", "locks put on directories by people", "fuses of directories"):
        assert words in told.stderr
    assert [json.loads(line)["type"] for line in run("events --json").lines] == ["state.rebuilt"]


def test_a_healthy_database_is_rebuilt_by_force_alone_and_loses_nothing(
    run: Run, path: Path, tmp_path: Path, wait_until: Wait
) -> None:
    held = tmp_path / "held"
    held.mkdir()
    ended = launch(run, "exec --on-complete 'exit 4' -- true", tmp_path / "a")
    wait_until(lambda: run("hooks list --failed").stdout)
    run(f"lock {held} --by Ada")
    wait_until(lambda: is_free(path, ended))
    events, people, hooks = (run(f"{verb} --json") for verb in ("events", "locks", "hooks list"))

    refused = run("doctor --rebuild", exit=11)
    assert "healthy" in refused.stderr and "--force" in refused.stderr
    assert not list(path.parent.glob("agentctl.db.*damaged*"))

    told = run("doctor --rebuild --force --json").json()
    assert told["lost"] == []
    assert told["carried"]["locks"] == 1
    assert run("events --json").lines[:-1] == events.lines
    assert run("locks --json").stdout == people.stdout
    assert run("hooks list --json").stdout == hooks.stdout
    assert session(run, ended)["outcome"] == "succeeded"


def test_rows_around_the_damage_are_carried_over(run: Run, path: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.mkdir()
    run(f"lock {held} --by Ada")
    with closing(sqlite3.connect(path)) as connection:
        at = "2026-03-01T12:00:00.000000Z"
        row = f"INSERT INTO events (type, at, actor, data) VALUES ('x.done', '{at}', 'a', ?)"
        for number in range(600):
            connection.execute(row, (json.dumps({"n": number, "pad": "." * 100}, separators=(",", ":")),))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = 1 + path.read_bytes().index(b'"n":300,') // 4096
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)

    told = run("doctor --rebuild --json").json()
    assert told["carried"]["locks"] == 1
    assert 300 < told["carried"]["events"] < 600 + 10
    assert "events" in told["lost"]
    numbers = [
        json.loads(line)["data"].get("n") for line in run("events --since 0 --json --type x.done").lines
    ]
    assert numbers[0] == 0 and numbers[-1] == 599
    assert run("doctor --json").json()["healthy"] is True


def test_a_directory_with_an_unreadable_manifest_is_reported_and_left(
    run: Run, path: Path, tmp_path: Path
) -> None:
    broken, sound = (launch(run, "exec -- true", tmp_path / name) for name in "ab")
    garbage(path)
    directory = path.parent / "sessions" / broken
    (directory / "session.json").write_text('{"schema_version": 1, "session": {"id"')
    told = run("doctor --rebuild --json").json()
    assert told["unreadable"] == [str(directory)]
    assert (directory / "output.log").exists()
    assert [one["id"] for one in run("list -a --json").json()["sessions"]] == [sound]


@pytest.fixture
def holder(path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Another process that has the database open, as a running `wait` has."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        program = (
            "import sys; from datetime import timedelta; from agentctl.store import db, sessions\n"
            "state = db.connect(sys.argv[1], busy=timedelta(seconds=5)); sessions.unsettled(state)\n"
            "print('open', flush=True); sys.stdin.read()"
        )
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout is not None and child.stdout.readline() == "open\n"
        return child

    yield start
    for child in started:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=10)


def test_it_is_refused_while_another_process_has_the_database_open(
    run: Run, path: Path, tmp_path: Path, holder: Callable[[], subprocess.Popen[str]]
) -> None:
    launch(run, "exec -- true", tmp_path / "a")
    child = holder()
    assert "open" in run("doctor --rebuild --force", exit=11).stderr
    assert not list(path.parent.glob("agentctl.db.*damaged*"))
    child.communicate("", timeout=10)
    assert run("doctor --rebuild --force --json").json()["sessions"] == 1


def test_what_a_killed_rebuild_has_left_is_no_obstacle(run: Run, path: Path, tmp_path: Path) -> None:
    launch(run, "exec -- true", tmp_path / "a")
    garbage(path)
    path.with_name("agentctl.db.new").write_bytes(b"half a database")
    assert run("doctor --rebuild --json").json()["sessions"] == 1
    assert not path.with_name("agentctl.db.new").exists()


def test_prune_leaves_the_directories_of_a_lost_database_alone(
    run: Run, path: Path, tmp_path: Path, wait_until: Wait
) -> None:
    lost = launch(run, "exec -- true", tmp_path / "a")
    wait_until(lambda: is_free(path, lost))
    directory = path.parent / "sessions" / lost
    gone(path)
    assert "doctor --rebuild" in run("prune --older-than 0", exit=13).stderr
    # A database made while the sessions were elsewhere knows nothing of them.
    aside = path.parent / "aside"
    directory.parent.rename(aside)
    run("list")
    aside.rename(directory.parent)
    os.utime(directory, (1, 1))
    pruned = run("prune --older-than 0 --json")
    assert pruned.json()["unknown"] == [lost]
    assert "doctor --rebuild" in pruned.stderr
    assert run("doctor --rebuild --json").json()["sessions"] == 1
    assert session(run, lost)["outcome"] == "succeeded"


def test_what_a_prune_has_forgotten_does_not_come_back(
    run: Run, path: Path, tmp_path: Path, wait_until: Wait
) -> None:
    forgotten, kept = (launch(run, "exec -- true", tmp_path / name) for name in "ab")
    wait_until(lambda: is_free(path, forgotten) and is_free(path, kept))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM sessions WHERE id = ?", (forgotten,))
        connection.commit()
    assert "healthy" in run("doctor --rebuild", exit=11).stderr
    assert run("doctor --rebuild --force --json").json()["sessions"] == 1
    assert [one["id"] for one in run("list -a --json").json()["sessions"]] == [kept]
    assert (path.parent / "sessions" / forgotten / "output.log").exists()
