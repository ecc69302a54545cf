"""Identity with real processes: the same one, a zombie, one that merely has the number."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.model import Life
from agentctl.host import clock, machine, processes, waiting

PID_LIMIT = 4_194_304
"""No Linux gives out a pid above this."""

SOURCE = str(Path(processes.__file__).parent.parent.parent)

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program that is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str, **options: object) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(argv, **options)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def own_token() -> str:
    token = processes.token_of(os.getpid())
    assert token is not None
    return token


def changed(token: str, place: int, value: str) -> str:
    """The token with one of ticks, boot, machine, namespace replaced."""
    parts = token.split(":")
    parts[place] = value
    return ":".join(parts)


class TestLook:
    def test_this_process_is_alive(self) -> None:
        assert processes.look(os.getpid(), own_token()) is Life.ALIVE

    def test_another_start_under_the_same_number_is_gone(self) -> None:
        """A recycled pid: the number is alive, the recorded process is not."""
        ticks = int(own_token().split(":")[0])
        for other in (ticks - 1, ticks + 1, 0):
            assert processes.look(os.getpid(), changed(own_token(), 0, str(other))) is Life.GONE

    def test_another_number_is_gone(self) -> None:
        assert processes.look(PID_LIMIT, own_token()) is Life.GONE

    def test_another_boot_of_this_machine_is_rebooted(self) -> None:
        assert processes.look(os.getpid(), changed(own_token(), 1, "b" * 36)) is Life.REBOOTED

    def test_another_machine_is_foreign(self) -> None:
        elsewhere = changed(changed(own_token(), 2, "a" * 32), 1, "b" * 36)
        assert processes.look(os.getpid(), elsewhere) is Life.FOREIGN

    @pytest.mark.parametrize("machine", ["-", "build-host", "A" * 32, "a" * 31])
    def test_another_boot_of_a_machine_without_an_id_is_unreadable(self, machine: str) -> None:
        """It may be an earlier boot of this machine, or another one."""
        nameless = changed(changed(own_token(), 2, machine), 1, "b" * 36)
        assert processes.look(os.getpid(), nameless) is Life.UNREADABLE

    @pytest.mark.parametrize("machine", ["-", "build-host", "a" * 32])
    def test_the_same_boot_is_the_same_machine_whatever_its_id(self, machine: str) -> None:
        """Each container has a machine id of its own, or none; all have the boot of their host."""
        assert processes.look(os.getpid(), changed(own_token(), 2, machine)) is Life.ALIVE

    def test_another_pid_namespace_is_unseen(self) -> None:
        assert processes.look(os.getpid(), changed(own_token(), 3, "1")) is Life.UNSEEN
        assert processes.look(PID_LIMIT, changed(own_token(), 3, "-")) is Life.UNSEEN

    def test_without_a_boot_only_a_match_in_all_the_rest_is_a_sign(self) -> None:
        """Of life: what is not found may be from another boot."""
        no_boot = changed(own_token(), 1, "-")
        assert processes.look(os.getpid(), no_boot) is Life.ALIVE
        assert processes.look(PID_LIMIT, no_boot) is Life.UNREADABLE
        for place, other in ((0, "1"), (0, "-"), (2, "a" * 32), (2, "-"), (3, "1"), (3, "-")):
            assert processes.look(os.getpid(), changed(no_boot, place, other)) is Life.UNREADABLE

    def test_an_unreadable_namespace_is_searched_for_the_process(self) -> None:
        assert processes.look(os.getpid(), changed(own_token(), 3, "-")) is Life.ALIVE

    @pytest.mark.parametrize("token", [None, "", "1", "1:2:3", "1:2:3:4:5"])
    def test_a_token_that_says_too_little_is_unreadable(self, token: str | None) -> None:
        assert processes.look(os.getpid(), token) is Life.UNREADABLE

    def test_an_unreaped_child_is_a_zombie_then_gone(self, start: Start) -> None:
        child = start("sleep", "60")
        token = processes.token_of(child.pid)
        assert processes.look(child.pid, token) is Life.ALIVE
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.look(child.pid, token) is Life.ZOMBIE
        child.wait()
        assert processes.look(child.pid, token) is Life.GONE

    def test_a_stopped_process_is_alive(self, start: Start) -> None:
        child = start("sleep", "60")
        child.send_signal(signal.SIGSTOP)
        assert processes.look(child.pid, processes.token_of(child.pid)) is Life.ALIVE

    def test_exec_changes_nothing(self, start: Start) -> None:
        """The shim's child records itself, then becomes the agent."""
        child = start("/bin/sh", "-c", "read -r go; exec sleep 60", stdin=subprocess.PIPE)
        token = processes.token_of(child.pid)
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
        assert waiting.poll(lambda: processes.arguments_of(child.pid) == ("sleep", "60"), timeout=10)
        assert processes.look(child.pid, token) is Life.ALIVE


class TestTable:
    @pytest.mark.parametrize("name", ["two words", "a) R 1 1", "((", ") Z 0", "new\nline", "tab\there"])
    def test_a_command_name_may_hold_anything(self, name: str, tmp_path: Path, start: Start) -> None:
        program = tmp_path / name
        shutil.copyfile(shutil.which("sleep") or "/bin/sleep", program)
        program.chmod(0o700)
        child = start(str(program), "60")
        assert waiting.poll(lambda: processes.arguments_of(child.pid)[:1] == (str(program),), timeout=10)
        stat = processes.stat_of(child.pid)
        assert stat is not None
        assert (stat.parent, stat.group, stat.is_zombie) == (os.getpid(), os.getpgrp(), False)
        assert stat.command == name[:15]
        assert processes.look(child.pid, processes.token_of(child.pid)) is Life.ALIVE
        assert processes.table()[child.pid] == stat

    def test_psutil_sees_the_same_start(self) -> None:
        import psutil

        stat = processes.stat_of(os.getpid())
        assert stat is not None
        theirs = clock.from_epoch(psutil.Process().create_time())
        assert abs(processes.started_at(stat) - theirs) < timedelta(seconds=1.5)

    def test_no_such_process_is_none(self) -> None:
        assert processes.stat_of(PID_LIMIT) is None
        assert processes.token_of(PID_LIMIT) is None
        assert processes.environment_of(PID_LIMIT) == {}
        assert processes.arguments_of(PID_LIMIT) == ()
        assert processes.directory_of(PID_LIMIT) is None

    def test_environment_arguments_and_directory_are_the_childs(self, tmp_path: Path, start: Start) -> None:
        environ = {"A": "two\nlines", "EMPTY": "", "EQUALS": "a=b=c", "PATH": os.environ["PATH"]}
        child = start("sleep", "60", env=environ, cwd=tmp_path)
        assert waiting.poll(lambda: processes.arguments_of(child.pid) == ("sleep", "60"), timeout=10)
        assert processes.environment_of(child.pid) == environ
        assert processes.directory_of(child.pid) == str(tmp_path)

    def test_the_boot_is_before_this_process(self) -> None:
        boot, stat = processes.booted_at(), processes.stat_of(os.getpid())
        assert boot is not None
        assert stat is not None
        assert boot <= processes.started_at(stat) <= clock.utcnow() + timedelta(seconds=1)


class TestSignal:
    @pytest.fixture(params=["descriptor", "number"])
    def by(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        """With and without the kernel's process descriptors."""
        if request.param == "number":
            monkeypatch.delattr(os, "pidfd_open", raising=False)
        return str(request.param)

    def test_the_recorded_process_gets_it(self, by: str, start: Start) -> None:
        child = start("sleep", "60")
        token = processes.token_of(child.pid)
        assert token is not None
        assert processes.signal_process(child.pid, token, signal.SIGTERM)
        assert child.wait() == -signal.SIGTERM

    @pytest.mark.parametrize("place", [0, 1, 3])
    def test_a_process_that_merely_has_the_number_does_not(self, place: int, by: str, start: Start) -> None:
        child = start("cat", stdin=subprocess.PIPE)
        token = processes.token_of(child.pid)
        assert token is not None
        assert not processes.signal_process(child.pid, changed(token, place, "1"), signal.SIGKILL)
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait() == 0, "it went on until its input ended"

    def test_a_zombie_and_a_process_that_is_gone_get_none(self, by: str, start: Start) -> None:
        child = start("true")
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        token = processes.token_of(child.pid)
        assert token is not None
        assert not processes.signal_process(child.pid, token, signal.SIGTERM)
        child.wait()
        assert not processes.signal_process(child.pid, token, signal.SIGTERM)

    def test_no_descriptor_is_left(self, start: Start) -> None:
        child = start("sleep", "60")
        token = processes.token_of(child.pid)
        assert token is not None
        before = len(os.listdir("/dev/fd"))
        processes.signal_process(child.pid, token, 0)
        processes.signal_process(child.pid, changed(token, 0, "1"), 0)
        assert len(os.listdir("/dev/fd")) == before


REUSE = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from agentctl.host import processes

def sleeper():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid

def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

def ask_for(pid):
    try:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
    except OSError:
        pass

first = sleeper()
token = processes.token_of(first)
begun = processes.stat_of(first).ticks
end(first)
for _ in range(1000):
    ask_for(first)
    second = sleeper()
    # A tick is 10 ms: the next owner must not have begun within the first one's.
    if second == first and processes.stat_of(second).ticks != begun:
        break
    end(second)
else:
    second = sleeper()
    token = token.replace(begun, str(int(begun) - 1), 1)
sent = processes.signal_process(second, token, signal.SIGKILL)
print("signalled" if sent else "spared", processes.look(second, token).value)
print("alive" if os.waitpid(second, os.WNOHANG) == (0, 0) else "dead")
end(second)
"""


class TestARealPidReuse:
    def test_the_next_owner_of_a_number_is_not_signalled(self) -> None:
        """The kernel gives the number out again: told to, in a namespace of its own where root may make one.

        Elsewhere numbers are used up until it comes round, or for a thousand forks; then the
        newest child stands for the next owner.
        """
        done = subprocess.run(
            [*_namespace(), sys.executable, "-c", REUSE, SOURCE],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["spared", "gone", "alive"]


def _namespace() -> list[str]:
    words = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
        return words
    return []


class TestRecordedToken:
    def recorded(self, pid: int, ticks: str, boot: str, *, late: float = 0.0) -> str | None:
        stat = processes.stat_of(pid)
        began = clock.utcnow() if stat is None else processes.started_at(stat)
        surroundings = machine.Surroundings(boot, "m" * 32, "42")
        return processes.recorded_token(pid, ticks, surroundings, began + timedelta(seconds=late))

    def test_it_is_made_of_the_writers_words_and_not_of_the_readers(self) -> None:
        assert self.recorded(7, "123", "b") == f"123:b:{'m' * 32}:42"

    def test_what_the_writer_could_not_read_is_not_filled_in(self) -> None:
        ticks, boot, _, _ = own_token().split(":")
        for missing in (self.recorded(os.getpid(), ticks, "-"), self.recorded(os.getpid(), "-", boot)):
            assert processes.look(os.getpid(), missing) is Life.UNREADABLE

    def test_where_no_process_has_ticks_one_that_began_just_before_is_taken(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on macOS: psutil tells when a process was created."""
        monkeypatch.setattr(processes, "LINUX", False)
        child = start("sleep", "60")
        for late, same in ((0.0, True), (9.0, True), (11.0, False), (-5.0, False)):
            assert (self.recorded(child.pid, "-", "-", late=late) == processes.token_of(child.pid)) is same
        assert self.recorded(PID_LIMIT, "-", "-") == processes.token("0")
