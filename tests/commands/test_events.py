"""`agentctl events`: the ledger's end, its whole, and what is still to come."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.ledger import EVENT_TYPES
from agentctl.store import db as store
from agentctl.store import events

Run = Callable[..., Any]
Wait = Callable[..., Any]
Plant = Callable[..., None]
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def plant(sealed_home: Path) -> Plant:
    """Append events to the real ledger: their types, a minute apart from T0 on."""

    def append(types: Sequence[str], session_id: str | None = None, begin: datetime = T0) -> None:
        sealed_home.mkdir(exist_ok=True, mode=0o700)
        db = store.connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=10))
        with store.transaction(db):
            for number, kind in enumerate(types):
                at = begin + timedelta(minutes=number)
                events.append(
                    db,
                    type=kind,
                    session_id=session_id,
                    at=at,
                    actor="test",
                    reason=f"{kind} \x1b[31m",
                    data={},
                )
        db.close()

    return append


def cursors(outcome: Any) -> list[int]:
    return [json.loads(line)["cursor"] for line in outcome.lines]


def test_an_empty_ledger_prints_nothing(run: Run) -> None:
    assert run("events").stdout == ""
    assert run("events --json --since 0").stdout == ""


def test_without_since_the_last_twenty_or_n(run: Run, plant: Plant) -> None:
    plant(["a.done"] * 30)
    assert cursors(run("events --json")) == list(range(11, 31))
    assert cursors(run("events --json -n 3")) == [28, 29, 30]
    assert cursors(run("events --json -n 0")) == []
    assert cursors(run("events --json -n 100")) == list(range(1, 31))


def test_a_type_that_no_event_has_is_a_usage_error(run: Run, plant: Plant) -> None:
    error = run("events --type session.stoped --json", exit=2).error()
    assert error["code"] == "usage"
    assert error["message"] == "no event has the type session.stoped"
    assert error["hint"].startswith('did you mean "session.stopped"')
    assert "nosuch" in run("events --type session.stopped --type nosuch", exit=2).stderr
    plant(["nosuch"])
    assert cursors(run("events --json --type nosuch")) == [1]


def test_every_type_that_is_recorded_is_known() -> None:
    """Read from the source: whatever looks like a type of event is one that can be asked for."""
    package = Path(store.__file__).parents[1]
    elsewhere = {"session.json", "state.json", "fuse.ceph", "fuse.ceph-fuse"}
    named = {
        name
        for part in ("core", "ops")
        for path in (package / part).glob("*.py")
        for name in re.findall(r'"((?:session|fuse|lock|state|worktree|group)\.[a-z_]+)"', path.read_text())
    }
    assert named - elsewhere - set(EVENT_TYPES) == set()
    assert set(EVENT_TYPES) <= named


def test_the_last_of_a_type_are_found_however_far_back(run: Run, plant: Plant) -> None:
    plant(["rare.done", "rare.done", *["a.done"] * 200, "rare.done"])
    assert cursors(run("events --json --type rare.done -n 2")) == [2, 203]
    assert cursors(run("events --json --type rare.done --type session.gone")) == [1, 2, 203]


def test_since_a_cursor_goes_on_after_it_without_a_limit(run: Run, plant: Plant) -> None:
    plant(["a.done"] * 1203)
    assert cursors(run("events --json --since 1")) == list(range(2, 1204))
    assert cursors(run("events --json --since 1 -n 600")) == list(range(2, 602))
    assert cursors(run("events --json --since 1203")) == []


def test_since_an_instant_or_a_duration(run: Run, plant: Plant) -> None:
    plant(["a.done"] * 5)
    plant(["b.done"], begin=datetime.now(UTC) - timedelta(minutes=5))
    assert cursors(run("events --json --since 2026-03-01T12:03:00Z")) == [4, 5, 6]
    assert cursors(run("events --json --since 10m")) == [6]
    assert "neither a duration" in run("events --since yesterday", exit=2).stderr


def test_a_cursor_of_another_database_is_told(run: Run, plant: Plant) -> None:
    plant(["a.done"])
    told = run("events --json --since 500")
    assert told.stdout == ""
    assert "beyond the newest event (1)" in told.stderr


def test_a_document_has_every_key_and_a_line_is_clean(run: Run, plant: Plant) -> None:
    plant(["a.done"])
    (line,) = run("events --json").lines
    assert json.loads(line) == {
        "schema_version": 1,
        "cursor": 1,
        "type": "a.done",
        "session_id": None,
        "at": "2026-03-01T12:00:00.000Z",
        "actor": "test",
        "reason": "a.done \x1b[31m",
        "data": {},
    }
    shown = run("events").stdout
    assert "a.done" in shown
    assert "\x1b" not in shown


def test_events_of_a_session_by_its_name_and_after_it_was_forgotten(run: Run, plant: Plant) -> None:
    forgotten = "0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001"
    plant(["a.done", "b.done"], session_id=forgotten)
    session_id = run("launch exec --name build -- true").stdout.strip()
    kinds = [json.loads(line)["type"] for line in run("events --json --session build").lines]
    assert kinds[:1] == ["session.started"]
    assert cursors(run(f"events --json --session {session_id[:8]}")) == cursors(
        run("events --json --session build")
    )
    assert cursors(run(f"events --json --session {forgotten}")) == [1, 2]
    assert run("events --session nobody", exit=10).stdout == ""


def test_following_from_a_point_with_a_limit_makes_no_sense(run: Run) -> None:
    assert "not both" in run("events -f --since 1 -n 1", exit=2).stderr


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`agentctl events -f` as a process; its output is a file, or a pipe."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, output: Any = None) -> subprocess.Popen[str]:
        argv = [sys.executable, "-P", "-m", "agentctl", "events", "-f", *arguments]
        child = subprocess.Popen(
            argv, stdout=output or subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate(timeout=10)


def test_following_misses_nothing_and_repeats_nothing(
    follow: Callable[..., Any], plant: Plant, tmp_path: Path, wait_until: Wait
) -> None:
    plant(["a.done"] * 700)
    shown = tmp_path / "shown"
    with shown.open("w") as output:
        child = follow("--json", "--since", "0", output=output)
        for _ in range(5):
            plant(["b.done"] * 7)
        wait_until(lambda: len(shown.read_text().splitlines()) == 735)
        plant(["c.done"])
        wait_until(lambda: len(shown.read_text().splitlines()) == 736)
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
    assert [json.loads(line)["cursor"] for line in shown.read_text().splitlines()] == list(range(1, 737))
    assert child.stderr.read() == ""


def test_following_notices_an_end_that_nobody_recorded(
    run: Run, follow: Callable[..., Any], sealed_home: Path, wait_until: Wait, tmp_path: Path
) -> None:
    session_id = run("launch exec -- sleep 120").stdout.strip()
    shown = tmp_path / "shown"
    with shown.open("w") as output:
        newest = cursors(run("events --json -n 1"))[0]
        follow("--json", "--since", str(newest), output=output)
        agent = psutil.Process(int((sealed_home / "sessions" / session_id / "pid").read_text().split()[0]))
        shim = next(one for one in agent.parents() if one.environ().get("AGENTCTL_SHIM") == session_id)
        family = [shim, *shim.children(recursive=True)]
        for one in family:
            one.kill()
        wait_until(lambda: shown.read_text().endswith("\n"))
    event = json.loads(shown.read_text().splitlines()[-1])
    assert (event["session_id"], event["actor"]) == (session_id, "events")


def test_following_ends_when_its_reader_has_left_though_nothing_happens(
    follow: Callable[..., Any], plant: Plant
) -> None:
    plant(["a.done"])
    reading, writing = os.pipe()
    child = follow("--json", output=writing)
    os.close(writing)
    assert json.loads(os.read(reading, 65536))["cursor"] == 1
    os.close(reading)
    assert child.wait(10) == 0
    assert child.stderr.read() == ""
