"""Which files a process has locked, as the kernel tells: proof that it writes them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.host import flock
from tests.conftest import WaitUntil

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
fcntl.flock(file, fcntl.LOCK_UN)
print("free", flush=True)
sys.stdin.readline()
"""

WAITER = """
import fcntl, sys
file = open(sys.argv[1])
print("waiting", flush=True)
fcntl.flock(file, fcntl.LOCK_EX)
"""

linux = sys.platform == "linux"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a name with spaces.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the file locked until it is written a line."""
    process = start(HOLDER, path)
    assert told(process) == "held"
    yield process
    process.kill()
    process.communicate()


def start(program: str, path: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", program, str(path)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def held_by(pid: int) -> set[tuple[int, int]]:
    """What is told of this process; elsewhere than on Linux that must be nothing."""
    found = flock.held_files()
    assert linux or found == {}
    return found.get(pid, set())


def test_a_held_file_is_found_by_its_device_and_inode(holder: subprocess.Popen[str], path: Path) -> None:
    assert held_by(holder.pid) == ({identity(path)} if linux else set())


def test_a_released_file_is_not_found(holder: subprocess.Popen[str]) -> None:
    go_on(holder)
    assert told(holder) == "free"
    assert held_by(holder.pid) == set(), "the process lives and has the file open, but holds nothing"


def test_a_file_of_a_killed_process_is_not_found(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert held_by(holder.pid) == set()


def test_a_file_that_is_open_but_not_locked_is_not_found(path: Path) -> None:
    path.touch()
    with path.open() as file:
        assert identity(path) not in held_by(os.getpid())
        fcntl.flock(file, fcntl.LOCK_SH)
        assert (identity(path) in held_by(os.getpid())) is linux
    assert identity(path) not in held_by(os.getpid())


def test_who_waits_for_a_file_does_not_hold_it(
    holder: subprocess.Popen[str], path: Path, wait_until: WaitUntil
) -> None:
    waiter = start(WAITER, path)
    try:
        assert told(waiter) == "waiting"
        wait_until(lambda: not linux or f" {waiter.pid} " in Path("/proc/locks").read_text())
        assert held_by(waiter.pid) == set()
        assert held_by(holder.pid) == ({identity(path)} if linux else set())
    finally:
        waiter.kill()
        waiter.communicate()


def test_each_of_several_files_is_found(tmp_path: Path) -> None:
    with open(tmp_path / "one", "w") as one, open(tmp_path / "two", "w") as two:
        for file in (one, two):
            fcntl.flock(file, fcntl.LOCK_EX)
        found = held_by(os.getpid())
        assert [identity(Path(file.name)) in found for file in (one, two)] == [linux, linux]
