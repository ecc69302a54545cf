"""The liveness lock with real descriptors, real processes and real deaths."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentctl.core.model import Held
from agentctl.host import flock, waiting
from tests.planting import sealed

HOLDER = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, getattr(fcntl, sys.argv[2]))
print("holding", flush=True)
sys.stdin.read()
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture
def holder() -> Iterator[Hold]:
    """Another process that holds the lock until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def hold(path: str, kind: str = "LOCK_EX") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", HOLDER, path, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


class TestProbe:
    def test_a_missing_file_proves_nothing_and_is_not_made(self, path: str) -> None:
        assert flock.probe(path) is Held.UNKNOWN
        assert not os.path.exists(path)
        assert flock.probe(f"{path}/deeper") is Held.UNKNOWN

    def test_a_lock_is_held_until_its_descriptor_is_closed(self, path: str) -> None:
        descriptor = flock.hold(path)
        assert flock.probe(path) is Held.YES
        os.close(descriptor)
        assert flock.probe(path) is Held.NO

    def test_it_does_not_wait(self, path: str, holder: Hold) -> None:
        holder(path)
        stopwatch = waiting.ticks(interval=0)
        next(stopwatch)
        assert flock.probe(path) is Held.YES
        assert next(stopwatch) < 1

    def test_another_prober_is_not_a_holder(self, path: str, holder: Hold) -> None:
        """Two that look at once both see a free lock."""
        os.close(flock.hold(path))
        holder(path, "LOCK_SH")
        assert flock.probe(path) is Held.NO

    def test_a_probe_leaves_no_lock_behind(self, path: str) -> None:
        os.close(flock.hold(path))
        assert flock.probe(path) is Held.NO
        again = flock.try_hold(path)
        assert again is not None
        os.close(again)

    def test_it_leaves_no_descriptor_behind(self, path: str) -> None:
        held = flock.hold(path)
        before = os.listdir("/dev/fd")
        for _ in range(3):
            flock.probe(path)
        os.close(held)
        for _ in range(3):
            flock.probe(path)
        assert len(os.listdir("/dev/fd")) <= len(before)

    def test_it_needs_no_right_to_write(self, tmp_path: Path, holder: Hold) -> None:
        place = tmp_path / "state"
        place.mkdir()
        held, free = str(place / "held"), str(place / "free")
        holder(held)
        os.close(flock.hold(free))
        with sealed(place):
            assert (flock.probe(held), flock.probe(free)) == (Held.YES, Held.NO)

    def test_it_changes_nothing_of_the_file(self, path: str) -> None:
        Path(path).write_text("left alone")
        os.utime(path, (1, 1))
        assert flock.probe(path) is Held.NO
        assert (Path(path).read_text(), os.stat(path).st_mtime) == ("left alone", 1)


class TestHold:
    def test_the_file_is_private_and_not_inherited(self, path: str) -> None:
        descriptor = flock.hold(path)
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)

    def test_a_second_hold_is_refused(self, path: str) -> None:
        descriptor = flock.hold(path)
        before = len(os.listdir("/dev/fd"))
        with pytest.raises(BlockingIOError):
            flock.hold(path, within=0.01)
        assert flock.try_hold(path) is None
        assert len(os.listdir("/dev/fd")) == before
        os.close(descriptor)

    def test_a_probe_that_is_on_does_not_refuse_it(self, path: str, holder: Hold) -> None:
        """A probe holds the lock for an instant: this one lasts until the other process ends."""
        prober = holder(path, "LOCK_SH")
        assert flock.try_hold(path) is None
        later = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.05; kill -9 {prober.pid}"])
        os.close(flock.hold(path, within=10))
        later.wait()

    def test_one_held_by_another_process_is_refused(self, path: str, holder: Hold) -> None:
        holder(path)
        assert flock.try_hold(path) is None

    def test_a_killed_holder_frees_it(self, path: str, holder: Hold) -> None:
        process = holder(path)
        assert flock.probe(path) is Held.YES
        process.kill()
        process.wait()
        assert flock.probe(path) is Held.NO

    def test_a_stopped_holder_keeps_it(self, path: str, holder: Hold) -> None:
        process = holder(path)
        process.send_signal(signal.SIGSTOP)
        assert flock.probe(path) is Held.YES


class TestHandingOver:
    def test_a_child_that_was_given_the_descriptor_keeps_it_without_a_gap(self, path: str) -> None:
        descriptor = flock.hold(path)
        reader, writer = os.pipe()
        child = subprocess.Popen(["/bin/sh", "-c", "read -r line"], stdin=reader, stdout=descriptor)
        os.close(descriptor)
        os.close(reader)
        assert flock.probe(path) is Held.YES
        os.close(writer)
        child.wait()
        assert flock.probe(path) is Held.NO

    def test_the_giver_may_die(self, path: str, tmp_path: Path) -> None:
        """The launcher is killed right after it has handed the lock over."""
        script = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[3])
from agentctl.host import flock
held = flock.hold(sys.argv[1])
child = subprocess.Popen(["/bin/sh", "-c", "read -r line <" + sys.argv[2]], stdin=held)
os.kill(os.getpid(), 9)
"""
        fifo = str(tmp_path / "fifo")
        os.mkfifo(fifo)
        source = str(Path(flock.__file__).parent.parent.parent)
        done = subprocess.run([sys.executable, "-c", script, path, fifo, source], check=False)
        assert done.returncode == -9
        assert flock.probe(path) is Held.YES
        os.close(os.open(fifo, os.O_WRONLY))
        assert waiting.poll(lambda: flock.probe(path) is Held.NO, timeout=10)

    def test_unlocking_one_copy_would_free_all(self, path: str) -> None:
        """Why nobody ever unlocks: both descriptors are one open file."""
        descriptor = flock.hold(path)
        copy = os.dup(descriptor)
        os.close(descriptor)
        assert flock.probe(path) is Held.YES
        fcntl.flock(copy, fcntl.LOCK_UN)
        assert flock.probe(path) is Held.NO
        os.close(copy)
