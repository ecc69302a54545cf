"""What an agent starts with: signals, limits, descriptors, input, environment."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import agentctl
from agentctl.core.model import Held
from agentctl.host import flock, processes, spawn, surroundings, waiting
from agentctl.host.paths import SessionFiles
from agentctl.host.spawn import ShimRequest, start_shim

ID = "5e551017-0000-4000-8000-000000000001"

REPORT = """
import json, os, resource, sys
descriptors = {}
for number in os.listdir("/proc/self/fd"):
    try:
        target = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue  # the one that listed them
    descriptors[number] = target
report = {
    "masks": [line for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigBlk"))],
    "umask": os.umask(0),
    "nice": os.nice(0),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "descriptors": descriptors,
    "stdin": sys.stdin.read(),
    "environ": dict(os.environ),
    "cwd": os.getcwd(),
    "argv": sys.argv[1:],
    "session": os.getsid(0),
    "group": os.getpgrp(),
}
print(json.dumps(report))
"""
REPORTER = (sys.executable, "-I", "-S", "-c", REPORT)

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    made = SessionFiles(str(tmp_path / "session"))
    os.mkdir(made.directory)
    return made


@pytest.fixture
def start(files: SessionFiles, tmp_path: Path) -> Iterator[Start]:
    """Start a shim as a launch does; its group is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str, **changes: Any) -> subprocess.Popen[bytes]:
        lock = flock.hold(files.lock)
        fields: dict[str, Any] = {
            "session_id": ID,
            "name": "fix it",
            "files": files,
            "lock": lock,
            "argv": argv or REPORTER,
            "cwd": str(tmp_path),
            "stdin": os.devnull,
            "environ": dict(os.environ),
            "patch": {},
            "timed": False,
            "interpreter": "/bin/true",
        }
        try:
            shim = start_shim(ShimRequest(**(fields | changes)))
        finally:
            os.close(lock)
        started.append(shim)
        return shim

    yield begin
    for shim in started:
        if shim.poll() is None:
            os.killpg(shim.pid, signal.SIGKILL)
            shim.wait()


@pytest.fixture
def report(start: Start, files: SessionFiles) -> Callable[..., dict[str, Any]]:
    """What an agent that was started so says of itself."""

    def ask(*argv: str, **changes: Any) -> dict[str, Any]:
        start(*argv, **changes).wait()
        text = Path(files.log).read_text()
        assert Path(files.exit).read_text() == "0\n", text
        said: dict[str, Any] = json.loads(text)
        return said

    return ask


def masks(report: Mapping[str, Any]) -> dict[str, set[int]]:
    """Ignored and blocked signals, from the kernel's own table."""
    found: dict[str, set[int]] = {}
    for line in report["masks"]:
        name, _, value = line.partition(":")
        found[name] = {number for number in range(1, 65) if int(value, 16) >> (number - 1) & 1}
    return found


class TestSignals:
    @pytest.fixture
    def hostile(self) -> Iterator[None]:
        """The launcher was started by nohup, or by something that blocks everything."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in spawn.RESET}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*spawn.RESET, signal.SIGUSR1, signal.SIGCHLD})
        yield
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)

    def test_what_the_launcher_ignores_or_blocks_the_agent_does_not(
        self, hostile: None, report: Callable[..., dict[str, Any]]
    ) -> None:
        seen = masks(report())
        assert seen["SigBlk"] == set()
        # Python, which reports here, ignores PIPE and XFSZ by itself.
        assert seen["SigIgn"] & set(spawn.RESET) <= {signal.SIGPIPE}

    @pytest.mark.parametrize("number", spawn.RESET)
    def test_each_of_them_ends_an_agent_that_was_launched_so(
        self, number: signal.Signals, hostile: None, start: Start, files: SessionFiles
    ) -> None:
        shim = start("sleep", "60")
        assert waiting.poll(lambda: _runs(files, "sleep"), timeout=20)
        os.kill(_pid(files), number)
        shim.wait()
        assert Path(files.exit).read_text() == f"{128 + number}\n"

    def test_the_launcher_keeps_its_own(self, hostile: None, start: Start) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        start("true").wait()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        assert all(signal.getsignal(number) is signal.SIG_IGN for number in spawn.RESET)

    def test_handlers_of_the_launcher_stay(self, start: Start) -> None:
        before = [signal.getsignal(number) for number in spawn.RESET]
        start("true").wait()
        assert [signal.getsignal(number) for number in spawn.RESET] == before

    def test_a_launcher_that_ignores_its_children_does_not_cost_the_exit_code(
        self, start: Start, files: SessionFiles
    ) -> None:
        """Where SIGCHLD is ignored the kernel forgets how children ended."""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            start("/bin/sh", "-c", "exit 7")
            assert waiting.poll(lambda: os.path.exists(files.exit), timeout=20)
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert Path(files.exit).read_text() == "7\n"


def _pid(files: SessionFiles) -> int:
    return int(Path(files.pid).read_text().split()[0])


def _runs(files: SessionFiles, program: str) -> bool:
    return os.path.exists(files.pid) and processes.arguments_of(_pid(files))[:1] == (program,)


class TestLimits:
    def test_umask_nice_and_limits_are_the_launchers(self, files: SessionFiles, tmp_path: Path) -> None:
        """In a launcher of its own, because niceness cannot be taken back: three interpreters, a second."""
        script = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
os.umask(0o027); os.nice(3)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from agentctl.host import spawn
from agentctl.host import flock
from agentctl.host.paths import SessionFiles
files = SessionFiles(sys.argv[2])
lock = flock.hold(files.lock)
request = spawn.ShimRequest(session_id="x", name=None, files=files, lock=lock, argv=tuple(sys.argv[3:]),
    cwd="/", stdin="/dev/null", environ=dict(os.environ), patch={}, timed=False, interpreter="/bin/true")
spawn.start_shim(request).wait()
"""
        nice = os.nice(0)
        source = str(Path(spawn.__file__).parent.parent.parent)
        subprocess.run([sys.executable, "-c", script, source, files.directory, *REPORTER], check=True)
        said = json.loads(Path(files.log).read_text())
        assert said["umask"] == 0o027
        assert said["nice"] == min(nice + 3, 19)
        assert said["files"] == [200, 300]
        assert said["core"] == [0, 0]
        for path in (files.pid, files.exit):
            assert os.stat(path).st_mode & 0o777 == 0o600

    def test_limits_of_this_process_reach_the_agent(self, report: Callable[..., dict[str, Any]]) -> None:
        assert tuple(report()["files"]) == resource.getrlimit(resource.RLIMIT_NOFILE)


class TestDescriptors:
    def test_the_agent_has_input_log_and_tree_and_nothing_else(
        self, report: Callable[..., dict[str, Any]], files: SessionFiles, tmp_path: Path
    ) -> None:
        with open(tmp_path / "secret", "w") as secret:
            os.set_inheritable(secret.fileno(), True)
            found = report()["descriptors"]
        assert found == {"0": "/dev/null", "1": files.log, "2": files.log, "9": files.tree}

    def test_the_lock_stays_with_the_shim(self, start: Start, files: SessionFiles) -> None:
        shim = start("sleep", "60")
        assert waiting.poll(lambda: _runs(files, "sleep"), timeout=20)
        assert os.readlink(f"/proc/{shim.pid}/fd/0") == files.lock
        assert flock.probe(files.lock) is Held.YES
        descriptors = f"/proc/{_pid(files)}/fd"
        # The loader has a library open for a moment.
        assert waiting.poll(lambda: sorted(os.listdir(descriptors)) == ["0", "1", "2", "9"], timeout=20)
        assert files.lock not in [os.readlink(f"{descriptors}/{number}") for number in (0, 1, 2, 9)]

    def test_input_comes_from_the_prompt_file(
        self, report: Callable[..., dict[str, Any]], files: SessionFiles
    ) -> None:
        Path(files.prompt).write_text("fix it\nplease, $(now) ✓")
        assert report(stdin=files.prompt)["stdin"] == "fix it\nplease, $(now) ✓"

    def test_without_a_prompt_input_is_empty(self, report: Callable[..., dict[str, Any]]) -> None:
        assert report()["stdin"] == ""

    def test_output_is_appended(self, start: Start, files: SessionFiles) -> None:
        Path(files.log).write_text("before\n")
        start("/bin/sh", "-c", "echo out; echo err >&2").wait()
        assert Path(files.log).read_text() == "before\nout\nerr\n"


HARD = {
    "newline": "one\ntwo\n",
    "quotes": 'it\'s "quoted" `tick`',
    "substitution": "$(touch owned) ${HOME} $HOME \\$x",
    "empty": "",
    "blank": "  two  words  ",
    "glob": "* ? [a-z]",
    "dash": "-n -e",
    "unicode": "täst ✓",
    "long": "x" * 50_000,
}


class TestEnvironment:
    def test_values_arrive_as_they_are(self, report: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
        seen = report(patch={f"V_{name}": value for name, value in HARD.items()})["environ"]
        assert {name: seen.get(f"V_{name}") for name in HARD} == HARD
        assert not (tmp_path / "owned").exists()

    def test_what_is_removed_is_gone_and_the_rest_is_the_launchers(
        self, report: Callable[..., dict[str, Any]]
    ) -> None:
        environ = {**os.environ, "KEPT": "a\nb", "REMOVED": "x", "CHANGED": "old"}
        seen = report(environ=environ, patch={"REMOVED": None, "CHANGED": "new", "NEVER": None})["environ"]
        assert "REMOVED" not in seen
        assert (seen["KEPT"], seen["CHANGED"]) == ("a\nb", "new")

    def test_nothing_of_the_shim_is_left_in_it(self, report: Callable[..., dict[str, Any]]) -> None:
        seen = report(patch={"A": "1", "AGENTCTL_SESSION_ID": ID})["environ"]
        ours = {name for name in seen if name.startswith("AGENTCTL_")}
        assert ours - {"AGENTCTL_HOME"} == {"AGENTCTL_SESSION_ID"}

    def test_the_finalising_call_has_the_launchers_environment(
        self, start: Start, files: SessionFiles, tmp_path: Path
    ) -> None:
        """Not the agent's: a changed PATH or HOME is for the agent alone."""
        python = tmp_path / "python"
        python.write_text(
            f'#!/bin/sh\nprintf "%s" "$CHANGED,$ADDED,$REMOVED,$AGENTCTL_SHIM" >{tmp_path}/seen\n'
        )
        python.chmod(0o700)
        environ = {**os.environ, "CHANGED": "old", "REMOVED": "there"}
        patch = {"CHANGED": "new", "ADDED": "x", "REMOVED": None}
        start("true", environ=environ, patch=patch, interpreter=str(python)).wait()
        assert (tmp_path / "seen").read_text() == f"old,,there,{ID}"

    def test_variables_called_like_the_shims_own_words_arrive_as_the_user_set_them(
        self, report: Callable[..., dict[str, Any]]
    ) -> None:
        words = sorted(set(re.findall(r"\b[a-z][a-z_]*\b", spawn.program(spawn.SHIM))))
        seen = report(environ={**os.environ, **dict.fromkeys(words, "the user's own")})["environ"]
        assert {name: seen.get(name) for name in words} == dict.fromkeys(words, "the user's own")

    def test_nothing_that_an_agent_can_write_is_imported_by_the_finishing_call(
        self, start: Start, files: SessionFiles, tmp_path: Path, report: Callable[..., dict[str, Any]]
    ) -> None:
        ours = os.path.dirname(os.path.dirname(agentctl.__file__))
        environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ours}", "PYTHONSTARTUP": "x", "PYTHONHOME": "y"}
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\nenv | grep ^PYTHON | sort >{tmp_path}/seen\n")
        python.chmod(0o700)
        told = report(environ=environ, interpreter=str(python))["environ"]
        assert (tmp_path / "seen").read_text() == f"PYTHONHOME=y\nPYTHONPATH={ours}\n"
        assert (told["PYTHONPATH"], told["PYTHONSTARTUP"]) == (f"{tmp_path}:{ours}", "x")

    @pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
    def test_modes_and_functions_of_a_bash_do_not_reach_a_shim(self, tmp_path: Path) -> None:
        """A bash that is called `sh` takes them over: it would run nothing, or somebody else's `mv`."""
        (tmp_path / "sh").symlink_to(shutil.which("bash") or "")
        names = ("mv%%", "read%%", "printf()")
        hostile = {f"BASH_FUNC_{name}": "() { exit 9; }" for name in names} | {
            "BASH_FUNC_module%%": "() { :; }"
        }
        environ = {**os.environ, **hostile, "SHELLOPTS": "noexec:xtrace", "FUNCNEST": "1"}
        mine, agents = surroundings.split(environ, spawn.program(spawn.SHIM))
        assert agents["FUNCNEST"] == "1" and "BASH_FUNC_module%%" in mine
        script = 'f() { printf %s "$1"; }; g() { f "$1"; }; mv --version >/dev/null && g fine'
        done = subprocess.run([tmp_path / "sh", "-c", script], env=mine, capture_output=True, check=False)
        assert (done.stdout, done.stderr) == (b"fine", b"")

    @pytest.mark.parametrize("value", sorted(HARD.values()))
    def test_arguments_arrive_as_they_are(self, value: str, report: Callable[..., dict[str, Any]]) -> None:
        assert report(*REPORTER, value, "last")["argv"] == [value, "last"]

    def test_tools_planted_in_the_agents_path_are_not_the_shims(
        self, start: Start, files: SessionFiles, tmp_path: Path
    ) -> None:
        for name in ("mv", "date", "sleep"):
            tool = tmp_path / name
            tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
            tool.chmod(0o700)
        start("true", environ={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}).wait()
        assert Path(files.exit).read_text() == "0\n"
        assert not (tmp_path / "owned").exists()


class TestWhatPsShows:
    def test_the_shim_shows_whose_it_is_and_not_its_text(
        self, start: Start, files: SessionFiles, tmp_path: Path
    ) -> None:
        """Also its timer, a fork of it; the text reaches neither the agent nor the finalising call."""
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nprintf "%s" "${{AGENTCTL_PROGRAM-none}}" >{tmp_path}/seen\n')
        python.chmod(0o700)
        shim = start("/bin/sh", "-c", "env; exec sleep 60", timed=True, interpreter=str(python))
        assert waiting.poll(lambda: _runs(files, "sleep"), timeout=20)
        words = processes.arguments_of(shim.pid)
        assert words[:6] == (
            "/bin/sh",
            "-c",
            'eval "$AGENTCTL_PROGRAM"',
            "agentctl-shim",
            ID,
            "fix it",
        )
        assert words[6] == files.directory
        group = [pid for pid, stat in processes.table().items() if stat.group == shim.pid]
        assert not any("\n" in word for pid in group for word in processes.arguments_of(pid))
        os.kill(_pid(files), signal.SIGKILL)
        shim.wait()
        assert "AGENTCTL_PROGRAM" not in Path(files.log).read_text()
        assert (tmp_path / "seen").read_text() == "none"


class TestDetached:
    def test_the_shim_leads_a_session_of_its_own(
        self, start: Start, report: Callable[..., dict[str, Any]]
    ) -> None:
        said = report()
        assert said["session"] == said["group"] != os.getsid(0)

    def test_the_agent_works_in_its_directory(
        self, report: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        place = tmp_path / "with space\nand line"
        place.mkdir()
        assert report(cwd=str(place))["cwd"] == str(place)

    def test_a_directory_that_is_gone_is_an_error_here(self, start: Start, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            start("true", cwd=str(tmp_path / "gone"))

    def test_a_forgotten_child_is_nobodys_to_wait_for(self, start: Start) -> None:
        shim = start("sleep", "60")
        spawn.forget(shim)
        assert shim.poll() == 0, "so that nothing warns of it"
        os.killpg(shim.pid, signal.SIGKILL)
        os.waitpid(shim.pid, 0)

    def test_another_invocation_of_ours_runs_from_the_root(self, tmp_path: Path) -> None:
        """A module `agentctl` in the current directory is not what is run."""
        (tmp_path / "agentctl").mkdir()
        (tmp_path / "agentctl" / "__main__.py").write_text("raise SystemExit(55)")
        before = os.getcwd()
        os.chdir(tmp_path)
        try:
            process = spawn.start_agentctl(["--version"], dict(os.environ))
        finally:
            os.chdir(before)
        assert process.wait() == 0
