"""No room, no permission to write, a damaged database: refused with a reason, and nothing half-made stays."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Outcome as Ran
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    AGENTCTL,
    PATIENCE,
    at_gate,
    document,
    endings,
    is_refused_cleanly,
    is_running,
    launch_at_gate,
    nothing_stays_claimed,
    open_gate,
    pids_of,
    processes_of,
    row,
)

IS_ROOT = os.geteuid() == 0


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Nothing can be written below, not even by root: a read-only mount, else by its modes."""
    if IS_ROOT:
        subprocess.run(["mount", "--bind", directory, directory], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", directory], check=True)
    else:
        subprocess.run(["chmod", "-R", "a-w", directory], check=True)
    try:
        yield
    finally:
        if IS_ROOT:
            subprocess.run(["umount", "--lazy", directory], check=True)
        else:
            subprocess.run(["chmod", "-R", "u+w", directory], check=True)


def test_a_read_only_state_is_read_and_refused_for_writing(
    sealed_home: Path, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, place)
    run("list")  # so that the journal is folded in
    (tmp_path / "other").mkdir()
    with read_only(sealed_home):
        assert run("list -q").lines == [session_id]
        assert document(run, session_id)["status"] == "running"
        refused = run(["launch", "exec", "--cwd", str(tmp_path / "other"), "--", "true"], exit=13)
        assert "read-only" in refused.stderr or "cannot be written" in refused.stderr
        assert str(sealed_home) in refused.stderr
        assert run("list -q").lines == [session_id]
        assert run(["stop", session_id], exit=13).stderr.startswith("agentctl: ")
        assert is_running(pids_of(session_id).agent)
    open_gate(place)
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


def test_an_agent_that_ended_meanwhile_is_shown_so_from_a_read_only_state(
    sealed_home: Path, place: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, place)
    pids = pids_of(session_id)
    run("list")
    with read_only(sealed_home):
        for pid in (pids.shim, pids.agent):
            os.kill(pid, 9)
        wait_until(lambda: not is_running(pids.agent), timeout=PATIENCE)
        assert document(run, session_id)["outcome"] == "lost"
        assert document(run, session_id)["outcome"] == "lost"
    assert endings(session_id) == []
    run("list")
    assert endings(session_id) == ["session.error"]


def test_a_state_that_cannot_be_made_is_an_empty_list_and_a_refusal(
    sealed_home: Path, place: Path, run: Run
) -> None:
    sealed_home.mkdir()
    with read_only(sealed_home):
        assert run("list -q").lines == []
        refused = run(["launch", "exec", "--cwd", str(place), "--", "true"], exit=13)
    assert str(sealed_home) in refused.stderr


@pytest.mark.parametrize("limit", [0, 1, 512, 4096, 40_000, 100_000, 130_000, 140_000])
def test_a_launch_that_may_write_only_small_files_works_or_leaves_nothing_claimed(
    limit: int, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """What a full disk does, for those who may not mount one: every file is cut at a size."""
    run("reap")  # so that there is a state

    def cut() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [*AGENTCTL, "launch", "exec", "--settle", "0s", "--cwd", str(place), "--", *at_gate(place)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=cut,
        timeout=90,
        check=False,
    )
    launched = Ran("launch", done.returncode, done.stdout, done.stderr)
    if launched.exit == 0:
        session_id = launched.stdout.strip()
        open_gate(place)
        wait_until(lambda: not is_running(pids_of(session_id).shim), timeout=PATIENCE)
    else:
        is_refused_cleanly(launched, tmp_path, wait_until)
    nothing_stays_claimed(run, place, wait_until)


KEPT = ("id", "name", "outcome", "exit_code", "pid", "cwd", "created_at", "started_at", "ended_at")
"""What of a session's document must survive a rebuild; the reason of a live one names the time left."""


def database() -> Path:
    return Path(os.environ["AGENTCTL_HOME"], "agentctl.db")


@pytest.mark.parametrize("keep", [1, 60, 5000, 65_536])
def test_a_truncated_database_is_refused_by_name_and_rebuilt_from_the_sessions_files(
    keep: int, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    ended, live = tmp_path / "ended", place
    first = launch_at_gate(run, ended, code=5)
    open_gate(ended)
    wait_until(lambda: row(first).is_final, timeout=PATIENCE)
    wait_until(lambda: not is_running(pids_of(first).shim), timeout=PATIENCE)
    second = launch_at_gate(run, live, options=["--name", "second"])
    before = {each: document(run, each) for each in (first, second)}
    for companion in ("agentctl.db-wal", "agentctl.db-shm"):
        database().with_name(companion).unlink(missing_ok=True)
    os.truncate(database(), keep)

    for command in (["list"], ["launch", "exec", "--cwd", str(tmp_path), "--", "true"], ["reap"]):
        refused = run(command, exit=13)
        assert "doctor --rebuild" in refused.stderr, refused
        assert str(database()) in refused.stderr
    assert is_running(pids_of(second).agent)

    run("doctor --rebuild", exit=None)
    assert run("list -q").lines == [second]
    after = {each: document(run, each) for each in (first, second)}
    for each in (first, second):
        assert {key: after[each][key] for key in KEPT} == {key: before[each][key] for key in KEPT}
    assert after[first]["reason"] == before[first]["reason"]
    run(["launch", "exec", "--cwd", str(live), "--", "true"], exit=11)
    open_gate(live)
    wait_until(lambda: row(second).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


def test_a_database_that_was_emptied_or_deleted_is_rebuilt_with_its_live_sessions(
    place: Path, run: Run, wait_until: WaitUntil
) -> None:
    """An empty file is what a new database begins with; the sessions beside it tell that it is not new."""
    session_id = launch_at_gate(run, place)
    for harm in ("emptied", "deleted"):
        for companion in ("agentctl.db-wal", "agentctl.db-shm"):
            database().with_name(companion).unlink(missing_ok=True)
        if harm == "emptied":
            os.truncate(database(), 0)
        else:
            database().unlink()
        assert "doctor --rebuild" in run("list -q", exit=13).stderr
        run("doctor --rebuild")
        assert run("list -q").lines == [session_id]
    open_gate(place)
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


def test_a_database_of_noise_does_not_reach_the_agent(place: Path, run: Run, wait_until: WaitUntil) -> None:
    """The end of an agent whose state is damaged is kept by its shim, and told after the rebuild."""
    session_id = launch_at_gate(run, place, code=8)
    shim = pids_of(session_id).shim
    for companion in ("agentctl.db-wal", "agentctl.db-shm"):
        database().with_name(companion).unlink(missing_ok=True)
    database().write_bytes(os.urandom(8192))
    run("list", exit=13)
    open_gate(place)
    wait_until(lambda: not is_running(shim), timeout=PATIENCE)
    run("doctor --rebuild", exit=None)
    run("list")
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 8)


def test_a_deleted_session_directory_is_not_believed_alive_or_dead_by_its_absence(
    place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """The lock file has gone, so it proves nothing; the recorded process alone decides."""
    session_id = launch_at_gate(run, place)
    pids = pids_of(session_id)
    directory = Path(os.environ["AGENTCTL_HOME"], "sessions", session_id)
    directory.rename(tmp_path / "moved")
    assert document(run, session_id)["status"] == "running"
    open_gate(place)
    wait_until(lambda: not is_running(pids.agent), timeout=PATIENCE)
    run("list")
    assert row(session_id).outcome is Outcome.LOST
    assert endings(session_id) == ["session.error"]
    # The shim has nowhere left to write, and does not stay for it.
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
