"""Clocks that were set, and machines that were booted again: identity does not depend on the wall clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import FuseState, Outcome, Status
from agentctl.host.clock import utcnow
from agentctl.runtime import Runtime
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    AGENTCTL,
    PATIENCE,
    begin,
    document,
    endings,
    finish,
    fuse_of,
    held,
    is_running,
    launch_at_gate,
    open_gate,
    pids_of,
    rewrite,
    row,
)

STEPS = [timedelta(hours=-1), timedelta(hours=1), timedelta(days=-400), timedelta(hours=3, minutes=59)]
HOUR = 3_600_000


def stepped(by: timedelta) -> Runtime:
    """The surroundings of an invocation whose clock was set."""
    runtime = Runtime.from_environment("test")
    clock: Callable[[], datetime] = lambda: utcnow() + by  # noqa: E731
    runtime.clock = clock
    return runtime


def fake_time(offset: str) -> tuple[str, ...]:
    return ("faketime", "-f", offset, *AGENTCTL)


def kill_both(session_id: str, wait_until: WaitUntil) -> None:
    pids = pids_of(session_id)
    for pid in (pids.shim, pids.agent):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pids.shim) and not is_running(pids.agent), timeout=PATIENCE)


@pytest.mark.parametrize("by", STEPS, ids=str)
def test_a_live_session_is_running_under_any_clock(
    by: timedelta, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place, code=6)
    (shown,) = run("list --json", obj=stepped(by)).json()["sessions"]
    assert (shown["id"], shown["status"], shown["outcome"]) == (session_id, "running", None)
    assert shown["duration_ms"] >= 0
    run("list", obj=stepped(by))
    run("reap", obj=stepped(by))
    assert is_running(pids_of(session_id).agent)
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).exit_code == 6
    assert document(run, session_id)["duration_ms"] >= 0


@pytest.mark.parametrize("by", STEPS, ids=str)
def test_an_end_found_under_a_set_clock_has_no_negative_duration(
    by: timedelta, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    kill_both(session_id, wait_until)
    shown = run(["status", session_id, "--json"], obj=stepped(by)).json()["sessions"][0]
    assert (shown["outcome"], shown["exit_code"]) == ("lost", None)
    assert shown["duration_ms"] >= 0
    assert endings(session_id) == ["session.error"]
    assert (
        "-" not in run(["status", session_id], obj=stepped(by)).stdout.partition("uration")[2].splitlines()[0]
    )


def test_a_stop_under_a_clock_that_was_set_back_still_ends_it(tmp_path: Path, run: Run) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    run(["stop", session_id, "--timeout", "1s"], obj=stepped(timedelta(hours=-1)))
    assert row(session_id).outcome is Outcome.CANCELLED
    assert document(run, session_id)["duration_ms"] >= 0


def test_a_clock_set_back_in_mid_ladder_does_not_keep_stop_from_forcing(
    tmp_path: Path, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next rung was due an hour from now; a person who asks with --force does not wait for it."""
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")
    (tmp_path / "work").mkdir()
    words = ["launch", "demo", "--settle", "0s", "--cwd", str(tmp_path / "work"), "-p", "stubborn"]
    session_id = run(words).stdout.strip()
    wait_until(lambda: "I ignore TERM" in run(["logs", session_id, "--raw"]).stdout)
    stopper = begin(["stop", session_id, "--timeout", "1h"])
    wait_until(lambda: row(session_id).stop_stage == 1, timeout=PATIENCE)
    stopper.kill()
    finish(stopper)
    run(["stop", session_id, "--force"], obj=stepped(timedelta(hours=-1)))
    assert (row(session_id).outcome, row(session_id).signal) == (Outcome.CANCELLED, 9)


@pytest.mark.parametrize(("by", "is_due"), [(timedelta(minutes=29), False), (timedelta(minutes=31), True)])
def test_a_fuse_blows_by_the_wall_clock_and_only_then(
    by: timedelta, is_due: bool, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, tmp_path / "work", options=["--fuse", "30m"])
    run("list", obj=stepped(by))
    fuse = fuse_of(session_id)
    assert fuse is not None
    assert (fuse.state is FuseState.FIRED) == is_due
    if is_due:
        wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
        assert row(session_id).outcome is Outcome.TIMED_OUT
    else:
        assert row(session_id).status is Status.RUNNING
    assert is_running(pids_of(session_id).agent) != is_due


@pytest.mark.system
@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_real_processes_under_faketime_know_a_session_of_the_true_time(
    offset: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch_at_gate(run, place)
    assert finish(begin(["list", "-q"], program=fake_time(offset))).lines == [session_id]
    shown = finish(begin(["status", session_id, "--json"], program=fake_time(offset))).json()["sessions"][0]
    assert shown["status"] == "running"
    assert shown["duration_ms"] >= 0
    open_gate(place)
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


@pytest.mark.system
@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_a_session_launched_under_another_clock_is_known_by_the_true_one(
    offset: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    place.mkdir()
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", "sleep", "300"]
    launched = finish(begin(words, program=fake_time(offset)))
    assert launched.exit == 0, launched
    session_id = launched.stdout.strip()
    ahead = (row(session_id).created_at - utcnow()).total_seconds() * 1000
    assert abs(ahead) > HOUR - 60_000, "faketime had no effect"
    shown = document(run, session_id)
    assert shown["status"] == "running"
    assert shown["duration_ms"] >= 0
    kill_both(session_id, wait_until)
    shown = document(run, session_id)
    assert shown["outcome"] == "lost"
    assert shown["duration_ms"] >= 0
    assert held() == []


def change_boot(session_id: str, **parts: str) -> None:
    """Rewrite the recorded start token as another boot or machine would have written it."""
    session = row(session_id)
    assert session.start_token is not None
    ticks, boot, machine, namespace = session.start_token.split(":")
    here = {"ticks": ticks, "boot": boot, "machine": machine, "namespace": namespace}
    rewrite(session._replace(start_token=":".join({**here, **parts}.values())))


OTHER_BOOT: dict[str, Any] = {"boot": "00000000-1111-4222-8333-444444444444"}


def test_a_session_of_an_earlier_boot_is_lost_because_of_the_reboot(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Its pid and even its ticks are those of a living process now, which is left alone."""
    session_id = launch_at_gate(run, tmp_path / "work")
    pids = pids_of(session_id)
    os.kill(pids.shim, signal.SIGKILL)
    wait_until(lambda: not is_running(pids.shim), timeout=PATIENCE)
    change_boot(session_id, **OTHER_BOOT)
    shown = document(run, session_id)
    assert (shown["status"], shown["outcome"], shown["exit_code"]) == ("error", "lost", None)
    assert "rebooted" in shown["reason"]
    assert endings(session_id) == ["session.error"]
    assert held() == []
    run("reap")
    assert is_running(pids.agent)
    os.kill(pids.agent, signal.SIGKILL)


def test_a_session_of_another_machine_is_neither_ended_nor_signalled(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, tmp_path / "work")
    pids = pids_of(session_id)
    os.kill(pids.shim, signal.SIGKILL)
    wait_until(lambda: not is_running(pids.shim), timeout=PATIENCE)
    change_boot(session_id, machine="0123456789abcdef0123456789abcdef", **OTHER_BOOT)
    for command in ("list -q", "reap"):
        run(command)
    shown = document(run, session_id)
    assert (shown["status"], shown["outcome"]) == ("running", None)
    assert "another machine" in shown["reason"]
    assert is_running(pids.agent)
    assert endings(session_id) == []
    os.kill(pids.agent, signal.SIGKILL)


@pytest.mark.system
def test_a_container_that_shares_the_state_neither_ends_nor_signals_our_session(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """The same state from another pid namespace, where our pids mean nothing or somebody else."""
    session_id = launch_at_gate(run, tmp_path / "work")
    pids = pids_of(session_id)
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    inside = [
        "unshare",
        *rights,
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        sys.executable,
        "-P",
        "-m",
    ]
    looked = subprocess.run([*inside, "agentctl", "list", "-q"], capture_output=True, text=True, check=True)
    assert looked.stdout.split() == [session_id]  # its shim holds the lock
    os.kill(pids.shim, signal.SIGKILL)
    wait_until(lambda: not is_running(pids.shim), timeout=PATIENCE)
    subprocess.run([*inside, "agentctl", "reap"], capture_output=True, text=True, check=True)
    assert row(session_id).outcome is None
    assert is_running(pids.agent)
    assert document(run, session_id)["status"] == "running"
    run(["stop", session_id, "--force"])
