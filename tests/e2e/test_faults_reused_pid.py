"""A recorded pid that belongs to another process now: never believed alive, never signalled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.model import Fuse, FuseAction, FuseState, Outcome, Rung, Session, Status, StopCause
from agentctl.host import machine, processes
from agentctl.host.clock import utcnow
from agentctl.host.files import write_private
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import a_session, endings, fuse_of, held, is_running, plant, row

DRIVER = Path(__file__).with_name("reused_pid.py")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with agentctl, in a group of its own."""
    process = subprocess.Popen(["sleep", "300"], start_new_session=True, env={"PATH": os.environ["PATH"]})
    yield process
    process.kill()
    process.wait()


def recycled(stranger: subprocess.Popen[bytes], cwd: Path) -> Session:
    """A row whose recorded agent had the stranger's pid, one tick earlier."""
    stat = processes.stat_of(stranger.pid)
    assert stat is not None
    earlier = processes.token(str(int(stat.ticks) - 1))
    return a_session(cwd, pid=stranger.pid, start_token=earlier)


def a_fuse(session: Session, *, due: bool) -> Fuse:
    deadline = utcnow() + (timedelta(seconds=-1) if due else timedelta(hours=1))
    return Fuse(
        id=os.urandom(4).hex(),
        session_id=session.id,
        created_at=session.created_at,
        deadline=deadline,
        action=FuseAction.STOP,
    )


def is_unharmed(stranger: subprocess.Popen[bytes]) -> bool:
    return stranger.poll() is None and is_running(stranger.pid)


@pytest.mark.parametrize("command", ["list", "status ID", "reap", "wait ID", "why ID"])
def test_every_look_finds_it_dead_and_lost(
    command: str, tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    session = recycled(stranger, tmp_path)
    plant(session)
    run(command.replace("ID", session.id), exit=4 if command.startswith("wait") else 0)
    ended = row(session.id)
    assert (ended.status, ended.outcome, ended.exit_code) == (Status.ERROR, Outcome.LOST, None)
    assert endings(session.id) == ["session.error"]
    assert held() == []
    assert is_unharmed(stranger)


@pytest.mark.parametrize("options", ["", " --force", " --timeout 0s"])
def test_stop_does_not_touch_the_other_process(
    options: str, tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    session = recycled(stranger, tmp_path)
    plant(session)
    run(f"stop {session.id}{options}")
    assert row(session.id).outcome is Outcome.LOST
    assert is_unharmed(stranger)


@pytest.mark.parametrize("command", ["list", "reap"])
def test_a_due_fuse_does_not_touch_it_and_does_not_call_it_a_time_out(
    command: str, tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    session = recycled(stranger, tmp_path)
    plant(session, a_fuse(session, due=True))
    run(command)
    assert row(session.id).outcome is Outcome.LOST
    fuse = fuse_of(session.id)
    assert fuse is not None
    assert fuse.state is FuseState.CANCELLED
    assert is_unharmed(stranger)


def test_a_vouching_fuse_does_not_make_it_alive(
    tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    session = recycled(stranger, tmp_path)
    plant(session, a_fuse(session, due=False))
    assert run("list -q").lines == []
    assert row(session.id).outcome is Outcome.LOST


@pytest.mark.parametrize("command", ["list", "reap", "stop ID"])
def test_a_ladder_that_was_under_way_is_not_climbed_against_it(
    command: str, tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    session = recycled(stranger, tmp_path)._replace(
        status=Status.STOPPING,
        stop_cause=StopCause.USER,
        stop_stage=1,
        stop_escalate_at=utcnow() - timedelta(seconds=30),
    )
    plant(session)
    run(command.replace("ID", session.id))
    assert row(session.id).outcome is Outcome.CANCELLED
    assert endings(session.id) == ["session.stopped"]
    assert is_unharmed(stranger)


@pytest.mark.parametrize("command", ["reap", "stop ID"])
def test_a_lingering_row_loses_its_lingering_and_the_other_process_lives(
    command: str, tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    session = recycled(stranger, tmp_path)._replace(
        status=Status.STOPPED,
        outcome=Outcome.UNLISTED,
        ended_at=utcnow(),
        lingering=True,
    )
    plant(session)
    run(command.replace("ID", session.id))
    assert not row(session.id).lingering
    assert held() == []
    assert is_unharmed(stranger)


def test_a_starting_row_is_not_adopted_by_a_pid_file_whose_process_is_another_one(
    tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    stat = processes.stat_of(stranger.pid)
    assert stat is not None
    session = a_session(tmp_path, status=Status.STARTING, started_at=None)
    files = plant(session)
    boot, *where = machine.of_children()
    words = (stranger.pid, int(stat.ticks) - 1, boot, 1, 1, *where)
    write_private(files.pid, f"{' '.join(map(str, words))}\n".encode())
    run("list")
    assert row(session.id).outcome is Outcome.LOST
    run("reap")
    assert is_unharmed(stranger)


def test_a_pid_without_a_start_token_is_never_signalled(
    tmp_path: Path, run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    """Nothing is known of it, so nothing is claimed; its ladder is climbed in vain, then 5 s pass."""
    ladder = (Rung(signal.SIGTERM, timedelta(seconds=0.1)), Rung(signal.SIGKILL, timedelta(seconds=0.1)))
    session = a_session(tmp_path, pid=stranger.pid, start_token=None, ladder=ladder)
    plant(session)
    error = run(f"stop {session.id} --json", exit=3).error()
    assert (error["code"], session.id[:8] in error["message"]) == ("partly_done", True)
    assert f"agentctl why {session.id[:8]}" in error["hint"]
    assert row(session.id).outcome is None
    assert is_unharmed(stranger)


@pytest.mark.system
def test_a_pid_that_the_kernel_really_gave_to_another_process(tmp_path: Path, wait_until: WaitUntil) -> None:
    """In a pid namespace of its own, where the next pid can be chosen. Two sessions of a second each."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        [
            "unshare",
            *rights,
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            sys.executable,
            "-P",
            str(DRIVER),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["reused"] == [True, True], "the namespace gave another pid"
    assert seen["unharmed"] == [True, True]
    assert seen["outcomes"] == ["lost", "lost"]
    assert seen["exit"] == {"list": 0, "stop": 0, "reap": 0}
