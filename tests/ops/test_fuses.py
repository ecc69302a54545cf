"""Many at once: no extension is lost, none comes too late unnoticed, one of many holds a directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentctl.core.decide import decide
from agentctl.core.model import FuseState, Liveness, Observation, Status
from agentctl.ops.directories.fuses import cancel, extend
from agentctl.ops.reconcile.reconcile import commit
from agentctl.runtime import Runtime
from agentctl.store import events, fuses, sessions

if TYPE_CHECKING:
    from tests.conftest import Run, WaitUntil

ALIVE = Observation(liveness=Liveness.ALIVE, evidence="a test says so")


@pytest.fixture
def session(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A real session that sleeps, with a fuse of one hour; its id."""
    monkeypatch.chdir(tmp_path)
    return run("launch exec --settle 0 --fuse 1h -- sleep 600").stdout.strip()


@pytest.fixture
def runtime(sealed_home: Path) -> Iterator[Runtime]:
    made = Runtime.from_environment(actor="test")
    yield made
    made.close()


def at_once(commands: Sequence[Sequence[str]]) -> list[int]:
    """The exit codes of all these command lines, each a process of its own, started together."""
    program = [sys.executable, "-P", "-m", "agentctl"]
    started = [
        subprocess.Popen([*program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in commands
    ]
    return [process.wait(120) for process in started]


def test_sixteen_extensions_add_up(session: str, runtime: Runtime, sealed_home: Path) -> None:
    # Sixteen interpreters take seconds on a small machine.
    before = fuses.for_session(runtime.state, session)
    assert before is not None
    assert at_once([["fuse", "extend", session, "--by", "1m"]] * 16) == [0] * 16
    after = fuses.for_session(runtime.state, session)
    assert after is not None
    assert after.deadline - before.deadline == timedelta(minutes=16)
    assert after.revision - before.revision == 16
    ledger = events.since(runtime.state, 0, limit=100, session_id=session)
    assert [event.type for event in ledger].count("fuse.extended") == 16
    # And the timer waits for the last one, whichever process wrote its file last.
    due = int((sealed_home / "sessions" / session / "fuse").read_text().split()[0])
    assert -2 < due - after.deadline.timestamp() <= -1, "early enough for a timer of whole seconds"


def test_setting_at_once_leaves_one_armed_fuse(session: str, runtime: Runtime) -> None:
    cancel(runtime, session)
    assert at_once([["fuse", "set", session, "--for", f"{n}h"] for n in range(1, 7)]) == [0] * 6
    armed = [fuse for fuse in fuses.armed(runtime.state) if fuse.session_id == session]
    assert len(armed) == 1
    assert at_once([["fuse", "set", "./", "--for", f"{n}h"] for n in range(1, 7)]) == [0] * 6
    assert len(fuses.armed_for_directory(runtime.state, os.getcwd())) == 1


def test_a_verdict_from_before_an_extension_cannot_fire_the_fuse(session: str, runtime: Runtime) -> None:
    db = runtime.state
    row, fuse = sessions.get(db, session), fuses.for_session(db, session)
    assert row is not None
    assert fuse is not None
    verdict = decide(row, fuse, ALIVE, fuse.deadline)
    assert verdict.rule == 6
    extended = extend(runtime, session, timedelta(hours=1))
    assert commit(runtime, db, verdict) is None
    now = fuses.for_session(db, session)
    assert now is not None
    assert (now.state, now.deadline) == (FuseState.ARMED, extended.deadline)
    after = sessions.get(db, session)
    assert after is not None
    assert after.status is Status.RUNNING
    assert "fuse.expired" not in [event.type for event in events.since(db, 0, limit=100, session_id=session)]


def test_an_extension_at_the_deadline_either_holds_or_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime, wait_until: WaitUntil
) -> None:
    # Real clocks: the deadline passes while the processes start, which takes a second or two.
    monkeypatch.chdir(tmp_path)
    session = run("launch exec --settle 0 --fuse 2s -- sleep 600").stdout.strip()
    db = runtime.state
    first = fuses.for_session(db, session)
    assert first is not None
    wait_until(lambda: datetime.now(UTC) > first.deadline - timedelta(milliseconds=300))
    extending = ["fuse", "extend", session, "--by", "1h"]
    codes = at_once([extending, ["list"], ["reap"], extending, ["list"], extending])
    held = [codes[0], codes[3], codes[5]].count(0)
    last = fuses.for_session(db, session)
    assert last is not None
    assert last.deadline == first.deadline + held * timedelta(hours=1)
    expired = events.since(db, 0, limit=100, session_id=session, types=["fuse.expired"])
    if held:
        assert (last.state, expired) == (FuseState.ARMED, [])
        assert run("list -q --status running").lines == [session]
    else:
        assert last.state is FuseState.FIRED
        assert len(expired) == 1
        assert expired[0].at >= first.deadline


def test_one_of_ten_gets_the_directory(run: Run, tmp_path: Path) -> None:
    codes = at_once([["lock", str(tmp_path), "--by", f"person-{n}"] for n in range(10)])
    assert sorted(codes) == [0] + [11] * 9
    (lock,) = run("locks --json").json()["locks"]
    assert lock["holder"] == f"person-{codes.index(0)}"
