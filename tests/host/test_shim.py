"""The shim's program text, under every shell of this machine that may be somebody's `sh`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentctl.core.model import Held, Life
from agentctl.host import clock, flock, machine, processes, spawn, waiting
from agentctl.host.paths import SessionFiles
from agentctl.ops.reconcile.observe import read_agent
from tests.conftest import WaitUntil
from tests.planting import FAKE_AGENT, small_disk

SHELLS = [name for name in ("dash", "bash", "busybox", "ksh", "mksh") if shutil.which(name)]
FATAL = ("HUP", "INT", "TERM", "KILL", "PIPE")
PROGRAM = Path(spawn.__file__).with_name("shim.sh").read_text()
ID = "5e551017-0000-4000-8000-000000000000"

RECORDER = """#!/bin/sh
# Stands for the Python interpreter: notes how it was called, and that it came to its end.
printf '%s\\n' "$* in $(pwd) input $(readlink /proc/$$/fd/0)" >>'{log}'
{work}
echo over >>'{log}'
"""

TIMES = {"rest 55 ;;": "rest 1 ;;", "rest 5": "rest 1", "rest 10": "rest 1", "5))": "1))"}
"""What the timer does after a minute and in naps of five seconds, done in seconds."""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    made = SessionFiles(str(tmp_path / "session"))
    os.mkdir(made.directory)
    return made


@pytest.fixture(params=SHELLS)
def sh(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """This shell under the name `sh`, first in PATH."""
    place = tmp_path / "shell"
    place.mkdir()
    (place / "sh").symlink_to(shutil.which(request.param) or "")
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return str(place / "sh")


@pytest.fixture
def start(files: SessionFiles, tmp_path: Path) -> Iterator[Start]:
    """Start a shim around a command; its whole group is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(
        sh: str, *argv: str, timed: bool = False, python: str = "/bin/true", stdin: str = os.devnull
    ) -> subprocess.Popen[bytes]:
        lock = flock.hold(files.lock)
        here = " ".join(machine.of_children())
        words = [ID, "-", files.directory, python, stdin, "1" if timed else "0", here, "", "", *argv]
        log, tree = flock.hold(files.log, append=True), flock.hold(files.tree)
        shim = subprocess.Popen(
            [sh, "-c", 'eval "$AGENTCTL_PROGRAM"', "agentctl-shim", *words],
            env={**os.environ, "AGENTCTL_PROGRAM": PROGRAM},
            stdin=lock,
            stdout=log,
            stderr=tree,
            cwd=tmp_path,
            start_new_session=True,
        )
        for held in (lock, log, tree):
            os.close(held)
        started.append(shim)
        return shim

    yield begin
    for shim in started:
        if shim.poll() is None:
            os.killpg(shim.pid, signal.SIGKILL)
            shim.wait()
    with suppress(OSError):
        recorded_pid(files)
        if token := agent_token(files):
            processes.signal_process(recorded_pid(files), token, signal.SIGKILL)


@pytest.fixture
def quick_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    text = PROGRAM
    for slow, quick in TIMES.items():
        assert slow in text
        text = text.replace(slow, quick)
    monkeypatch.setitem(globals(), "PROGRAM", text)


@pytest.fixture
def recorder(tmp_path: Path) -> Callable[[str], str]:
    """An interpreter that writes `calls.log`; `work` is what it does in between."""

    def make(work: str = ":") -> str:
        path = tmp_path / "python"
        path.write_text(RECORDER.format(log=tmp_path / "calls.log", work=work))
        path.chmod(0o700)
        return str(path)

    return make


def calls(tmp_path: Path) -> list[str]:
    log = tmp_path / "calls.log"
    return log.read_text().splitlines() if log.exists() else []


def fake(*orders: str) -> tuple[str, ...]:
    return (*FAKE_AGENT, *orders)


def recorded_pid(files: SessionFiles) -> int:
    return int(Path(files.pid).read_text().split()[0])


def agent_token(files: SessionFiles) -> str | None:
    agent = read_agent(files)
    return None if agent is None else agent.start_token


def agent_life(files: SessionFiles) -> Life:
    return processes.look(recorded_pid(files), agent_token(files))


def log_of(files: SessionFiles) -> str:
    return Path(files.log).read_text()


def until_ready(files: SessionFiles) -> None:
    assert waiting.poll(lambda: os.path.exists(files.log) and "ready" in log_of(files), timeout=20)


def exit_of(files: SessionFiles) -> str:
    return Path(files.exit).read_text()


class TestTheExitFile:
    @pytest.mark.parametrize(
        ("order", "status"),
        [
            *((f"exit:{code}", code) for code in (0, 7, 143, 255)),
            *((f"die:{name}", 128 + signal.Signals[f"SIG{name}"]) for name in FATAL),
        ],
    )
    def test_holds_the_status_as_a_shell_gives_it(
        self, order: str, status: int, sh: str, files: SessionFiles, start: Start
    ) -> None:
        start(sh, *fake(order)).wait()
        assert exit_of(files) == f"{status}\n"

    @pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGUSR1, signal.SIGSEGV, signal.SIGABRT])
    def test_names_the_signal_that_was_sent_from_outside(
        self, number: signal.Signals, sh: str, files: SessionFiles, start: Start
    ) -> None:
        shim = start(sh, *fake("ready", "sleep:60"))
        until_ready(files)
        os.kill(recorded_pid(files), number)
        shim.wait()
        assert exit_of(files) == f"{128 + number}\n"
        assert log_of(files) == "ready\n", "the shell's own message is not the agent's output"

    def test_tells_a_program_that_is_missing_from_one_that_may_not_run(
        self, sh: str, files: SessionFiles, start: Start, tmp_path: Path
    ) -> None:
        start(sh, str(tmp_path / "missing")).wait()
        assert exit_of(files) == "127\n"
        plain = tmp_path / "plain"
        plain.write_text("x")
        plain.chmod(0o600)
        start(sh, str(plain)).wait()
        assert exit_of(files) == "126\n"

    def test_is_private_and_dated_by_the_end(self, sh: str, files: SessionFiles, start: Start) -> None:
        before = clock.utcnow()
        start(sh, *fake("exit:0")).wait()
        stat = os.stat(files.exit)
        assert stat.st_mode & 0o777 == 0o600
        assert before.timestamp() - 0.02 <= stat.st_mtime <= clock.utcnow().timestamp()
        assert sorted(os.listdir(files.directory)) == ["exit", "lock", "output.log", "pid", "tree"]

    def test_is_there_before_the_lock_is_free(
        self, sh: str, files: SessionFiles, start: Start, recorder: Callable[[str], str], tmp_path: Path
    ) -> None:
        """The finalising call, which follows the exit file, still finds the lock held."""
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        shim = start(sh, *fake("exit:3"), python=recorder(f"read -r go <'{gate}'"))
        assert waiting.poll(lambda: bool(calls(tmp_path)), timeout=20)
        assert exit_of(files) == "3\n"
        assert flock.probe(files.lock) is Held.YES
        gate.write_text("go\n")
        shim.wait()
        assert flock.probe(files.lock) is Held.NO


class TestTheFinalisingCall:
    def test_is_made_once_from_the_root_with_no_input(
        self, sh: str, start: Start, recorder: Callable[[], str], tmp_path: Path
    ) -> None:
        start(sh, *fake("exit:0"), python=recorder()).wait()
        assert calls(tmp_path) == [f"-P -m agentctl _finalise {ID} in / input /dev/null", "over"]

    def test_may_fail(self, sh: str, files: SessionFiles, start: Start, tmp_path: Path) -> None:
        start(sh, *fake("exit:4"), python=str(tmp_path / "no-python")).wait()
        assert exit_of(files) == "4\n"


class TestThePidFile:
    def test_names_the_agent_itself(self, sh: str, files: SessionFiles, start: Start) -> None:
        shim = start(sh, *fake("ready", "sleep:60"))
        until_ready(files)
        pid, ticks, boot, parent, began, *where = Path(files.pid).read_text().split()
        assert processes.arguments_of(int(pid))[-2:] == ("ready", "sleep:60")
        stat = processes.stat_of(int(pid))
        assert stat is not None
        assert (stat.ticks, stat.parent, int(parent)) == (ticks, shim.pid, shim.pid)
        assert (boot, *where) == machine.of_children()
        itself = processes.stat_of(shim.pid)
        assert itself is not None
        assert itself.ticks == began
        assert agent_token(files) == processes.token_of(int(pid))
        assert os.stat(files.pid).st_mode & 0o777 == 0o600
        assert agent_life(files) is Life.ALIVE

    def test_is_written_also_for_a_program_that_cannot_run(
        self, sh: str, files: SessionFiles, start: Start
    ) -> None:
        start(sh, "/nonexistent").wait()
        assert agent_life(files) is Life.GONE

    def test_keeps_the_agent_from_starting_where_it_cannot_be_written(
        self, sh: str, files: SessionFiles, start: Start
    ) -> None:
        """An agent that nobody could find again must not run."""
        os.mkdir(f"{files.pid}.new")
        start(sh, *fake("say:started")).wait()
        assert exit_of(files) == "126\n"
        assert "started" not in log_of(files)


class TestItsOwnEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
    def test_a_signal_to_its_group_does_not_lose_the_record(
        self, number: signal.Signals, sh: str, files: SessionFiles, start: Start
    ) -> None:
        shim = start(sh, *fake("ready", "sleep:60"))
        until_ready(files)
        os.killpg(shim.pid, number)
        shim.wait()
        assert exit_of(files) == f"{128 + number}\n"

    def test_a_signal_to_it_alone_ends_nothing(self, sh: str, files: SessionFiles, start: Start) -> None:
        shim = start(sh, *fake("trap:TERM", "ready", "cat", "sleep:60"))
        until_ready(files)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            os.kill(shim.pid, number)
        assert agent_life(files) is Life.ALIVE
        assert flock.probe(files.lock) is Held.YES
        os.kill(recorded_pid(files), signal.SIGKILL)
        shim.wait()
        assert exit_of(files) == "137\n"

    def test_killed_it_leaves_the_agent_running_and_the_lock_free(
        self, sh: str, files: SessionFiles, start: Start
    ) -> None:
        shim = start(sh, *fake("ready", "sleep:60"))
        until_ready(files)
        assert flock.probe(files.lock) is Held.YES
        shim.kill()
        shim.wait()
        assert flock.probe(files.lock) is Held.NO
        assert agent_life(files) is Life.ALIVE
        assert not os.path.exists(files.exit)

    LOSES_TREE = "import subprocess; subprocess.run(['sleep', '60'])"
    """Python, as Node does, gives a child its standard streams and nothing else."""

    @pytest.mark.parametrize(
        ("tool", "tree", "log"),
        [
            ("sleep 60", Held.YES, Held.YES),
            ("sleep 60 >/dev/null 2>&1", Held.YES, Held.NO),
            ("exec 9>&-; sleep 60", Held.NO, Held.YES),
            (f'exec 9>&-; {sys.executable} -I -S -c "{LOSES_TREE}"', Held.NO, Held.YES),
            ("sleep 60 >/dev/null 2>&1 9>&-", Held.NO, Held.NO),
        ],
    )
    def test_what_the_agent_started_holds_tree_and_log_and_the_shim_does_not(
        self, tool: str, tree: Held, log: Held, sh: str, files: SessionFiles, start: Start, tmp_path: Path
    ) -> None:
        """Whatever it closes or redirects itself. Its shim is killed, so these two are all there is."""
        self.probe_after_kill(start(sh, "/bin/sh", "-c", f"({tool}) & echo ready; exit 0"), files, tree, log)

    def probe_after_kill(
        self, shim: subprocess.Popen[bytes], files: SessionFiles, tree: Held, log: Held
    ) -> None:
        group = members(shim.pid)
        assert waiting.poll(lambda: os.path.exists(files.exit), timeout=20)
        shim.wait()

        def probes() -> tuple[Held, ...]:
            return tuple(map(flock.probe, (files.lock, files.tree, files.log)))

        # The tool closes and redirects in its own time.
        as_expected = waiting.poll(lambda: probes() == (Held.NO, tree, log), timeout=10)
        seen = probes()
        for pid in group | members(shim.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert as_expected, seen

    def test_timer_and_finalising_call_hold_neither_tree_nor_log(
        self, sh: str, files: SessionFiles, start: Start, recorder: Callable[[str], str], tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        Path(files.fuse).write_text("1\n")
        shim = start(sh, *fake("exit:0"), timed=True, python=recorder(f"read -r go <'{gate}'"))
        assert waiting.poll(lambda: len(calls(tmp_path)) == 2, timeout=20)
        held = (flock.probe(files.lock), flock.probe(files.tree), flock.probe(files.log))
        for pid in members(shim.pid):
            with suppress(ProcessLookupError):  # one that has just ended by itself
                os.kill(pid, signal.SIGKILL)
        assert held == (Held.YES, Held.NO, Held.NO)

    def test_a_tool_that_outlives_the_agent_does_not_hold_the_lock(
        self, sh: str, files: SessionFiles, start: Start
    ) -> None:
        start(sh, "/bin/sh", "-c", "sleep 60 & echo $! ; exit 0").wait()
        tool = int(log_of(files))
        token = processes.token_of(tool)
        assert token is not None
        assert flock.probe(files.lock) is Held.NO
        assert processes.signal_process(tool, token, signal.SIGKILL)

    def test_without_its_directory_it_leaves(self, sh: str, files: SessionFiles, start: Start) -> None:
        shim = start(sh, *fake("ready", "sleep:60"))
        until_ready(files)
        pid = recorded_pid(files)
        shutil.rmtree(files.directory)
        os.kill(pid, signal.SIGKILL)
        shim.wait()
        assert not os.path.exists(files.directory)


class TestTheTimer:
    def deadline(self, files: SessionFiles, text: object) -> None:
        Path(f"{files.fuse}.new").write_text(f"{text}\n")
        os.replace(f"{files.fuse}.new", files.fuse)

    def now(self) -> int:
        return int(clock.utcnow().timestamp())

    def test_calls_at_once_for_a_deadline_in_the_past(
        self, sh: str, files: SessionFiles, start: Start, recorder: Callable[[], str], tmp_path: Path
    ) -> None:
        self.deadline(files, self.now() - 10)
        start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        assert waiting.poll(lambda: "over" in calls(tmp_path), timeout=20)
        assert calls(tmp_path)[0] == f"-P -m agentctl _tick {ID} in / input /dev/null"

    def test_calls_at_its_deadline_and_not_before(
        self, sh: str, files: SessionFiles, start: Start, recorder: Callable[[], str], tmp_path: Path
    ) -> None:
        """Deadlines are whole seconds: up to two of them pass."""
        due = self.now() + 2
        self.deadline(files, due)
        start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        assert waiting.poll(lambda: bool(calls(tmp_path)), timeout=20)
        assert os.stat(tmp_path / "calls.log").st_mtime >= due

    @pytest.mark.parametrize("text", ["-", "", "soon", "12x"])
    def test_never_calls_without_a_deadline(
        self,
        text: str,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[], str],
        tmp_path: Path,
        wait_until: WaitUntil,
    ) -> None:
        """It naps instead, for seconds each time."""
        self.deadline(files, text)
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        wait_until(lambda: naps(shim.pid) == ["5"])
        assert calls(tmp_path) == []

    def test_naps_for_seconds_while_its_deadline_is_far(
        self, sh: str, files: SessionFiles, start: Start, wait_until: WaitUntil
    ) -> None:
        self.deadline(files, self.now() + 7200)
        shim = start(sh, *fake("ready", "sleep:60"), timed=True)
        wait_until(lambda: naps(shim.pid) == ["5"])

    def test_a_deadline_that_was_moved_is_kept(
        self,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[], str],
        tmp_path: Path,
        wait_until: WaitUntil,
    ) -> None:
        """Moved while it naps (two seconds at most): no call at the old time."""
        self.deadline(files, self.now() + 2)
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        wait_until(lambda: naps(shim.pid) != [])
        self.deadline(files, self.now() + 3600)
        wait_until(lambda: naps(shim.pid) == ["5"])
        assert calls(tmp_path) == []

    def test_goes_with_its_nap_when_the_agent_ends(
        self, sh: str, files: SessionFiles, start: Start, wait_until: WaitUntil
    ) -> None:
        self.deadline(files, "-")
        shim = start(sh, *fake("ready", "sleep:60"), timed=True)
        until_ready(files)
        wait_until(lambda: naps(shim.pid) == ["5"])
        group = members(shim.pid)
        os.kill(recorded_pid(files), signal.SIGTERM)
        shim.wait()
        wait_until(lambda: members(shim.pid) == set())
        assert len(group) == 4, "shim, agent, timer, nap"
        assert exit_of(files) == "143\n"

    def test_a_call_that_runs_is_never_cut_short(
        self,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[str], str],
        tmp_path: Path,
        wait_until: WaitUntil,
    ) -> None:
        """The agent ends while the timer's call is at work, as it does when that call stops it."""
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        self.deadline(files, 1)
        work = f"case $* in *_tick*) read -r go <'{gate}';; esac"
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder(work))
        until_ready(files)
        assert waiting.poll(lambda: len(calls(tmp_path)) == 1, timeout=20)
        os.kill(recorded_pid(files), signal.SIGTERM)
        shim.wait()
        assert [line for line in calls(tmp_path) if "_finalise" in line]
        assert calls(tmp_path).count("over") == 1
        gate.write_text("go\n")
        wait_until(lambda: calls(tmp_path).count("over") == 2)
        wait_until(lambda: members(shim.pid) == set())

    def test_outlives_a_killed_shim_only_as_long_as_the_agent(
        self,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[], str],
        tmp_path: Path,
        wait_until: WaitUntil,
    ) -> None:
        """It is looked at when it wakes, which takes up to three seconds."""
        self.deadline(files, self.now() + 3)
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        until_ready(files)
        wait_until(lambda: naps(shim.pid) != [])
        shim.kill()
        shim.wait()
        assert agent_life(files) is Life.ALIVE
        os.kill(recorded_pid(files), signal.SIGKILL)
        wait_until(lambda: members(shim.pid) == set())
        assert calls(tmp_path) == []

    def test_leaves_soon_if_shim_and_agent_were_killed(
        self,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[], str],
        tmp_path: Path,
        wait_until: WaitUntil,
    ) -> None:
        """Although the pid is somebody else's now: the start tells. A nap takes up to five seconds."""
        self.deadline(files, "-")
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        until_ready(files)
        wait_until(lambda: naps(shim.pid) == ["5"])
        agent = recorded_pid(files)
        _, ticks, rest = Path(files.pid).read_text().split(maxsplit=2)
        Path(files.pid).write_text(f"{os.getpid()} {int(ticks) - 1} {rest}")
        shim.kill()
        shim.wait()
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: members(shim.pid) == set())
        assert calls(tmp_path) == []

    @pytest.mark.parametrize("orders", [("ready", "sleep:60"), ("trap:TERM", "ready", "cat", "sleep:60")])
    def test_ends_the_agent_itself_if_nothing_can_be_called(
        self, orders: tuple[str, ...], sh: str, files: SessionFiles, start: Start, quick_timer: None
    ) -> None:
        """Its interpreter is gone. One that ignores TERM is killed."""
        now = self.now()
        self.deadline(files, f"{now}\n{now}")
        start(sh, *fake(*orders), timed=True, python="/nonexistent/python").wait()
        assert exit_of(files) == ("137\n" if "trap:TERM" in orders else "143\n")
        assert Path(files.fired).read_text() == f"{now}\n"

    @pytest.mark.parametrize("stop", ["-", "later"])
    def test_ends_nobody_before_the_deadline_or_for_a_warning(
        self,
        stop: str,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[str], str],
        tmp_path: Path,
        wait_until: WaitUntil,
        quick_timer: None,
    ) -> None:
        now = self.now()
        self.deadline(files, f"{now}\n{now + 3600 if stop == 'later' else stop}")
        start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder("exit 1"))
        wait_until(lambda: len(calls(tmp_path)) >= 4)
        assert agent_life(files) is Life.ALIVE
        assert not os.path.exists(files.fired)

    @pytest.mark.parametrize("place", [1, 2])
    def test_ends_nobody_whose_start_or_boot_is_not_the_agents(
        self,
        place: int,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[str], str],
        tmp_path: Path,
        wait_until: WaitUntil,
        quick_timer: None,
    ) -> None:
        due = self.now() + 2
        self.deadline(files, f"{due}\n{due}")
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder("exit 1"))
        until_ready(files)
        pid = recorded_pid(files)
        words = Path(files.pid).read_text().split()
        words[place] = "1"
        Path(f"{files.pid}.new").write_text(" ".join(words) + "\n")
        os.replace(f"{files.pid}.new", files.pid)
        wait_until(lambda: len(calls(tmp_path)) >= 4)
        assert not os.path.exists(files.fired)
        assert processes.stat_of(pid) is not None
        os.killpg(shim.pid, signal.SIGKILL)

    def test_works_for_an_agent_whose_shim_was_killed(
        self,
        sh: str,
        files: SessionFiles,
        start: Start,
        recorder: Callable[[], str],
        tmp_path: Path,
        wait_until: WaitUntil,
    ) -> None:
        """A deadline of whole seconds, two away."""
        self.deadline(files, self.now() + 2)
        shim = start(sh, *fake("ready", "sleep:60"), timed=True, python=recorder())
        until_ready(files)
        shim.kill()
        shim.wait()
        wait_until(lambda: "over" in calls(tmp_path))
        os.kill(recorded_pid(files), signal.SIGKILL)
        for pid in members(shim.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def members(group: int) -> set[int]:
    """Living processes of a group."""
    return {pid for pid, stat in processes.table().items() if stat.group == group and not stat.is_zombie}


def sleepers(group: int) -> dict[int, str]:
    """Each `sleep` of a group and how long it was told to take."""
    found = {pid: processes.arguments_of(pid) for pid in members(group)}
    return {pid: words[1] for pid, words in found.items() if words[:1] == ("sleep",)}


def naps(group: int) -> list[str]:
    return list(sleepers(group).values())


def end_naps(group: int) -> None:
    for pid in sleepers(group):
        with suppress(ProcessLookupError):  # one that is over
            os.kill(pid, signal.SIGKILL)


class TestAFullDisk:
    def test_the_end_is_recorded_once_there_is_room_and_the_lock_is_held_until_then(
        self, sh: str, tmp_path: Path, files: SessionFiles, start: Start
    ) -> None:
        """The shim tries again every five seconds, or as soon as its pause is ended.

        Where no small disk can be mounted a directory in the exit file's place stands for it.
        """
        with small_disk(Path(files.directory), "64k") as is_real:
            shim = start(sh, *fake("ready", "sleep:60"))
            until_ready(files)
            if is_real:
                fill(Path(files.directory, "ballast"))
            else:
                os.mkdir(f"{files.exit}.new")
            os.kill(recorded_pid(files), signal.SIGTERM)
            assert waiting.poll(lambda: naps(shim.pid) == ["5"], timeout=20)
            assert not os.path.exists(files.exit)
            assert flock.probe(files.lock) is Held.YES
            if is_real:
                os.unlink(f"{files.directory}/ballast")
            else:
                os.rmdir(f"{files.exit}.new")
            end_naps(shim.pid)
            shim.wait()
            assert exit_of(files) == "143\n"
            assert flock.probe(files.lock) is Held.NO


def fill(path: Path) -> None:
    """Write until there is no room left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 512)
