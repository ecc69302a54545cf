"""A full disk: a launch works or leaves nothing claimed, and an end is recorded once there is room.

Only root may mount a small file system, so these are collected for root alone; the same
faults by file size, for everybody, are in test_faults_state.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    at_gate,
    document,
    endings,
    held,
    is_refused_cleanly,
    is_running,
    launch_at_gate,
    nothing_stays_claimed,
    open_gate,
    pids_of,
    processes_of,
    row,
    wake_shims,
)

__test__ = os.geteuid() == 0


@pytest.fixture
def small_home(sealed_home: Path, tmp_path: Path) -> Iterator[Path]:
    """AGENTCTL_HOME on a file system of 2 MB. Made by root alone; others get the tests by file size."""
    sealed_home.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", sealed_home], check=True)
    yield sealed_home
    for pid in processes_of(tmp_path):  # with the mount, the trace by which they are found goes
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
    subprocess.run(["umount", "--lazy", sealed_home], check=True)


def fill(directory: Path, *, leave: int = 0) -> Path:
    """Write until nothing more goes in, then give `leave` KiB back; the file that takes the room."""
    ballast = directory / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 4096, 1):
            try:
                while True:
                    os.write(descriptor, b"x" * size)
            except OSError:
                continue
        os.ftruncate(descriptor, max(os.fstat(descriptor).st_size - leave * 1024, 0))
    finally:
        os.close(descriptor)
    return ballast


ROOM = [0, 16, 64, 80, 84, 88, 92, 96, 104, 120, 124, 128, 192]


@pytest.mark.parametrize("leave", ROOM)
def test_a_launch_with_little_room_works_or_is_refused_and_leaves_nothing_claimed(
    leave: int, small_home: Path, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    run("reap")  # so that there is a state
    ballast = fill(small_home, leave=leave)
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", *at_gate(place)]
    launched = run(words, exit=None)
    if launched.exit == 0:
        ballast.unlink()
        open_gate(place)
        session_id = launched.stdout.strip()
        wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)
    else:
        is_refused_cleanly(launched, tmp_path, wait_until)
        ballast.unlink()
    nothing_stays_claimed(run, place, wait_until)


@pytest.mark.parametrize("leave", [0, 16, 64, 96])
def test_a_first_launch_on_a_full_disk_is_refused_and_works_once_there_is_room(
    leave: int, small_home: Path, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    ballast = fill(small_home, leave=leave)
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", *at_gate(place)]
    is_refused_cleanly(run(words, exit=None), tmp_path, wait_until)
    ballast.unlink()
    session_id = run(words).stdout.strip()
    open_gate(place)
    wait_until(lambda: row(session_id).outcome is Outcome.SUCCEEDED, timeout=PATIENCE)


def test_an_end_on_a_full_disk_is_recorded_once_there_is_room(
    small_home: Path, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, place, code=7)
    pids = pids_of(session_id)
    ballast = fill(small_home)
    open_gate(place)
    wait_until(lambda: not is_running(pids.agent), timeout=PATIENCE)
    shown = document(run, session_id)
    assert (shown["status"], shown["outcome"], shown["exit_code"]) == ("stopping", None, None)
    assert is_running(pids.shim)
    run(["launch", "exec", "--cwd", str(place), "--", "true"], exit=None)
    assert endings(session_id) == []
    ballast.unlink()
    wake_shims(tmp_path)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 7)
    assert endings(session_id) == ["session.error"]
    assert held() == []


def test_a_list_on_a_full_disk_tells_the_truth_that_it_cannot_write_down(
    small_home: Path, place: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch_at_gate(run, place)
    pids = pids_of(session_id)
    ballast = fill(small_home)
    for pid in (pids.shim, pids.agent):
        os.kill(pid, 9)
    wait_until(lambda: not is_running(pids.agent), timeout=PATIENCE)
    assert document(run, session_id)["outcome"] == "lost"
    assert run("list -q").lines == []
    ballast.unlink()
    run("list")
    assert endings(session_id) == ["session.error"]
