"""SIGKILL from outside: of the agent, of its shim, of both; zombies and stopped processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.model import Held, Outcome, Status
from agentctl.host import flock, processes
from agentctl.host.paths import SessionFiles
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    a_session,
    document,
    endings,
    held,
    is_running,
    launch,
    launch_at_gate,
    open_gate,
    pids_of,
    plant,
    processes_of,
    row,
)
from tests.planting import suspend


def kill(pid: int, wait_until: WaitUntil) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid), timeout=PATIENCE)


def lock_of(session_id: str) -> Held:
    return flock.probe(SessionFiles(str(Path(os.environ["AGENTCTL_HOME"], "sessions", session_id))).lock)


def test_the_agent_killed_is_failed_with_its_signal(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    os.kill(pids_of(session_id).agent, signal.SIGKILL)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    shown = document(run, session_id)
    assert (shown["status"], shown["outcome"]) == ("error", "failed")
    assert (shown["exit_code"], shown["signal"]) == (137, 9)
    assert "killed by SIGKILL" in shown["reason"]
    assert endings(session_id) == ["session.error"]
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_the_shim_killed_leaves_a_running_agent_whose_end_is_lost(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place)
    kill(pids_of(session_id).shim, wait_until)
    shown = document(run, session_id)
    assert (shown["status"], shown["unsupervised"]) == ("running", True)
    assert any("unsupervised" in note for note in shown["notes"])
    assert run("list -q").lines == [session_id]
    run(["launch", "exec", "--cwd", str(place), "--", "true"], exit=11)

    agent = pids_of(session_id).agent
    open_gate(place)
    wait_until(lambda: not is_running(agent), timeout=PATIENCE)
    assert run("list -q").lines == []
    ended = row(session_id)
    assert (ended.status, ended.outcome) == (Status.ERROR, Outcome.LOST)
    assert (ended.exit_code, ended.signal) == (None, None)
    assert endings(session_id) == ["session.error"]
    assert held() == []


def test_an_agent_without_its_shim_can_be_stopped(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    kill(pids_of(session_id).shim, wait_until)
    run(["stop", session_id, "--timeout", "5s"])
    assert not is_running(pids_of(session_id).agent)
    ended = row(session_id)
    assert (ended.status, ended.outcome, ended.exit_code) == (Status.STOPPED, Outcome.CANCELLED, None)
    assert endings(session_id) == ["session.stopped"]


def test_an_agent_without_its_shim_is_still_ended_by_its_fuse(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes as long as the fuse, two seconds: by then only a later command, or the timer, can see it."""
    session_id = launch_at_gate(run, tmp_path / "work", options=["--fuse", "2s"])
    pids = pids_of(session_id)
    os.kill(pids.shim, signal.SIGKILL)

    def is_timed_out() -> bool:
        run("reap", exit=None)
        return row(session_id).outcome is Outcome.TIMED_OUT

    wait_until(is_timed_out, timeout=PATIENCE)
    assert not is_running(pids.agent)
    assert endings(session_id) == ["session.timeout"]
    # The timer of the killed shim is left to find out by itself: at its next waking, within a minute.
    left = [argv for argv in processes_of(tmp_path).values() if "_tick" not in argv]
    naps = [argv for argv in left if argv[:1] == ["sleep"]]
    assert all(len(argv) == 2 and int(argv[1]) <= 60 for argv in naps)
    assert all("agentctl-shim" in argv for argv in left if argv not in naps)


@pytest.mark.parametrize("first", ["shim", "agent"])
def test_both_killed_is_lost_and_its_code_unknown(
    first: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    pids = pids_of(session_id)
    if first == "agent":
        suspend(pids.shim)  # so that it cannot record anything
    order = (pids.agent, pids.shim) if first == "agent" else (pids.shim, pids.agent)
    for pid in order:
        kill(pid, wait_until)
    shown = document(run, session_id)
    assert (shown["status"], shown["outcome"]) == ("error", "lost")
    assert (shown["exit_code"], shown["signal"]) == (None, None)
    assert "vanished" in shown["reason"]
    assert endings(session_id) == ["session.error"]
    assert held() == []
    assert run(["wait", session_id], exit=None).exit == 4


def test_a_zombie_agent_whose_shim_is_slow_is_ending_and_then_ends(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    pids = pids_of(session_id)
    suspend(pids.shim)
    os.kill(pids.agent, signal.SIGTERM)
    wait_until(lambda: not is_running(pids.agent), timeout=PATIENCE)
    assert processes.look(pids.agent, row(session_id).start_token).value == "zombie"
    shown = document(run, session_id)
    assert (shown["status"], shown["outcome"]) == ("stopping", None)
    assert endings(session_id) == []
    run("reap")
    assert endings(session_id) == []
    os.kill(pids.shim, signal.SIGCONT)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert (row(session_id).outcome, row(session_id).signal) == (Outcome.FAILED, 15)
    assert endings(session_id) == ["session.error"]


def test_a_zombie_that_nobody_supervises_is_dead(tmp_path: Path, run: Run) -> None:
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    stat = processes.stat_of(zombie.pid)
    assert stat is not None
    assert stat.is_zombie
    session = a_session(tmp_path, pid=zombie.pid, start_token=processes.token(stat.ticks))
    plant(session)
    assert run("list -q").lines == []
    assert row(session.id).outcome is Outcome.LOST
    zombie.wait()


def test_a_stopped_agent_is_running_and_is_stopped_without_waiting_for_the_kill(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    agent = pids_of(session_id).agent
    os.kill(agent, signal.SIGSTOP)
    assert document(run, session_id)["status"] == "running"
    run(["stop", session_id, "--timeout", "30s"])
    ended = row(session_id)
    assert (ended.outcome, ended.exit_code, ended.signal) == (Outcome.CANCELLED, 143, 15)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE]
)
def test_a_signal_to_the_shim_changes_nothing(
    number: signal.Signals, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place, code=5)
    pids = pids_of(session_id)
    os.kill(pids.shim, number)
    assert document(run, session_id)["status"] == "running"
    assert lock_of(session_id) is Held.YES
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 5)


def test_the_finalising_call_killed_loses_nothing(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    """The call is stopped before it can do anything, by an interpreter that takes its place, then killed."""
    place, shimmed = tmp_path / "work", tmp_path / "python"
    shimmed.write_text("#!/bin/sh\nkill -KILL $$\n")
    shimmed.chmod(0o755)
    place.mkdir()
    code = (
        "import sys; from agentctl.cli import main; from agentctl.runtime import Runtime;"
        "runtime = Runtime.from_environment(); runtime.interpreter = sys.argv.pop(1);"
        "sys.exit(main(sys.argv[1:], obj=runtime))"
    )
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", "sh", "-c", "exit 9"]
    launched = subprocess.run(
        [sys.executable, "-P", "-c", code, str(shimmed), *words], capture_output=True, text=True, check=True
    )
    session_id = launched.stdout.strip()
    wait_until(lambda: lock_of(session_id) is Held.NO, timeout=PATIENCE)
    assert not row(session_id).is_final
    assert document(run, session_id)["exit_code"] == 9
    assert endings(session_id) == ["session.error"]


def test_an_agent_that_kills_its_own_group_and_parent_is_not_running(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch(run, tmp_path / "work", "sh", "-c", "kill -KILL $PPID; kill -KILL 0")
    pids = pids_of(session_id)
    wait_until(lambda: not is_running(pids.agent) and not is_running(pids.shim), timeout=PATIENCE)
    assert document(run, session_id)["outcome"] == "lost"
    assert endings(session_id) == ["session.error"]
