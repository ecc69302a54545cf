"""Sessions of containers: pid namespaces of one kernel, with one state that all of them use."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Held
from agentctl.host import flock, processes, waiting
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import is_running

UNSHARE = ("unshare", "--pid", "--fork", "--mount", "--kill-child", "--mount-proc")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0
        if sys.platform == "linux"
        else True,
        reason="needs unshare, and the right to make pid namespaces",
    ),
]

AGENTCTL = (sys.executable, "-m", "agentctl")

PLAIN = ("sleep", "60")
LOSES_TREE = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import os, subprocess; os.close(9); subprocess.run(['sleep', '60'])",
)
"""As programs in Node do: their children get their standard streams and nothing else."""
REDIRECTS = ("sh", "-c", "exec sleep 60 >/dev/null 2>&1")

Contain = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def contain(sealed_home: Path) -> Iterator[Contain]:
    """A container that runs a script, says `ready` and lives until its input ends."""
    made: list[subprocess.Popen[str]] = []

    def begin(script: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*UNSHARE, "sh", "-c", f"{script}\necho ready; read -r go"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def inside(script: str) -> str:
    """What a script prints in a container of its own."""
    return subprocess.run(
        [*UNSHARE, "sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def launch(contain: Contain, directory: Path, *argv: str, kill_shim: bool = False) -> tuple[Any, str]:
    """A container with a session in it, and the session's id."""
    words = " ".join(f"'{word}'" for word in (*AGENTCTL, "launch", "exec", "--settle", "0", "--cwd"))
    agent = " ".join(f"'{word}'" for word in argv or PLAIN).replace("['sleep', '60']", '["sleep", "60"]')
    script = f"id=$({words} '{directory}' -- {agent}); echo $id"
    if kill_shim:
        script += "; kill -9 $(cut -d' ' -f4 $AGENTCTL_HOME/sessions/$id/pid)"
    container = contain(script)
    assert container.stdout is not None
    session = container.stdout.readline().strip()
    assert container.stdout.readline() == "ready\n"
    return container, session


def end(container: Any) -> None:
    """As a container that is rebuilt: everything in it is killed."""
    container.kill()
    container.communicate()


def seen(text: str) -> tuple[str, str | None]:
    session = json.loads(text)["sessions"][0]
    return session["status"], session["outcome"]


def words_of(session: str) -> str:
    return " ".join(f"'{word}'" for word in (*AGENTCTL, "status", "--json", session))


def test_a_session_of_a_container_that_has_gone_is_lost_for_everybody(
    tmp_path: Path, contain: Contain, run: Run
) -> None:
    container, session = launch(contain, tmp_path)
    assert seen(run(f"status --json {session}").stdout) == ("running", None)
    assert seen(inside(words_of(session))) == ("running", None)
    end(container)
    assert seen(inside(words_of(session))) == ("error", "lost")
    assert run("locks --json").json()["locks"] == []


@pytest.mark.parametrize("argv", [PLAIN, LOSES_TREE, REDIRECTS], ids=["plain", "loses tree", "redirects"])
def test_an_agent_without_a_shim_in_another_container_is_never_lost_while_it_lives(
    argv: tuple[str, ...], tmp_path: Path, contain: Contain, run: Run, wait_until: WaitUntil
) -> None:
    container, session = launch(contain, tmp_path, *argv, kill_shim=True)
    log = Path(os.environ["AGENTCTL_HOME"], "sessions", session, "output.log")
    assert log.exists()
    assert seen(inside(words_of(session))) == ("running", None), "from a container that cannot see it"
    assert "not visible here" in json.loads(inside(words_of(session)))["sessions"][0]["reason"]
    shown = run(f"status --json {session}").json()["sessions"][0]
    assert (shown["status"], shown["unsupervised"]) == ("running", True), "from outside, where it is seen"
    end(container)
    assert seen(inside(words_of(session))) == ("error", "lost")


def test_a_session_of_a_container_is_stopped_from_outside(tmp_path: Path, contain: Contain, run: Run) -> None:
    _, session = launch(contain, tmp_path)
    run(f"stop --timeout 5s {session}")
    assert seen(run(f"status --json {session}").stdout) == ("stopped", "cancelled")


def test_a_reader_whose_process_table_is_another_namespaces_finds_the_agent(
    tmp_path: Path, contain: Contain, run: Run
) -> None:
    """A pid namespace without a /proc of its own: the numbers there are not the numbers here."""
    words = " ".join(f"'{word}'" for word in (*AGENTCTL, "launch", "exec", "--settle", "0", "--cwd"))
    script = f"id=$({words} '{tmp_path}' -- sleep 60); {{status}} $id"
    status = " ".join(f"'{word}'" for word in (*AGENTCTL, "status", "--json"))
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script.format(status=status)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    shown = json.loads(done.stdout)["sessions"][0]
    assert (shown["status"], shown["reason"]) == ("running", f"running (process {shown['pid']} is alive)")


class TestWhatCannotBeRead:
    """A chroot without /proc, and a unit with ProcSubset=pid, which hides the boot id."""

    NO_PROC = "mount -t tmpfs none /proc"
    SUBSET = "mount -t proc -o subset=pid none /proc"

    @pytest.mark.parametrize("mount", [NO_PROC, SUBSET])
    def test_is_not_taken_for_a_death(
        self, mount: str, tmp_path: Path, run: Run, wait_until: WaitUntil
    ) -> None:
        session = run(f"launch exec --settle 0 --cwd {tmp_path} -- sleep 60").stdout.split()[0]
        pid, *rest = Path(os.environ["AGENTCTL_HOME"], "sessions", session, "pid").read_text().split()
        script = f"{mount}; {words_of(session)}"

        def look() -> dict[str, Any]:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True
            )
            found: dict[str, Any] = json.loads(done.stdout)["sessions"][0]
            return found

        assert (look()["status"], look()["outcome"]) == ("running", None)
        os.kill(int(rest[2]), signal.SIGKILL)
        lock = Path(os.environ["AGENTCTL_HOME"], "sessions", session, "lock")
        assert waiting.poll(lambda: flock.probe(str(lock)) is Held.NO, timeout=10)
        assert (look()["status"], look()["outcome"]) == ("running", None)
        assert ("cannot be identified" in look()["reason"]) is (mount == self.NO_PROC)
        shown = run(f"status --json {session}").json()["sessions"][0]
        assert (shown["status"], shown["unsupervised"]) == ("running", True)
        token = processes.token_of(int(pid))
        assert token is not None
        assert processes.signal_process(int(pid), token, signal.SIGKILL)
        assert waiting.poll(lambda: not is_running(int(pid)), timeout=10)

    @pytest.mark.parametrize("hidden_from", ["launch", "stop"])
    def test_a_hidden_boot_does_not_keep_from_stopping(
        self, hidden_from: str, tmp_path: Path, run: Run
    ) -> None:
        def hidden(*words: str) -> str:
            command = " ".join(f"'{word}'" for word in (*AGENTCTL, *words))
            return subprocess.run(
                ["unshare", "--mount", "sh", "-c", f"{self.SUBSET}; {command}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        words = ("launch", "exec", "--settle", "0", "--cwd", str(tmp_path), "--", "sleep", "60")
        session = (hidden(*words) if hidden_from == "launch" else run(list(words)).stdout).strip()
        if hidden_from == "stop":
            hidden("stop", session)
        else:
            run(f"stop {session}")
        assert seen(run(f"status --json {session}").stdout) == ("stopped", "cancelled")

    def test_a_clone_of_this_machine_that_holds_the_lock_is_alive(self, tmp_path: Path, run: Run) -> None:
        """The same machine id, another boot, and a lock that is held through a shared home."""
        session = run(f"launch exec --settle 0 --cwd {tmp_path} -- sleep 60").stdout.split()[0]
        boot = tmp_path / "boot"
        boot.write_text("11111111-2222-4333-8444-555555555555\n")
        why = " ".join(f"'{word}'" for word in (*AGENTCTL, "why", "--json", session))
        script = f"mount --bind '{boot}' /proc/sys/kernel/random/boot_id; {why}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True
        )
        facts = json.loads(done.stdout)
        assert (facts["status"], facts["liveness"]) == ("running", "alive")
        assert "earlier boot" not in facts["evidence"]


class TestTwoMachines:
    """A home that two machines share: each has its own machine id and boot."""

    def on_other(self, tmp_path: Path, script: str) -> str:
        boot, machine = tmp_path / "boot", tmp_path / "machine"
        boot.write_text("11111111-2222-4333-8444-555555555555\n")
        machine.write_text(f"{'ab' * 16}\n")
        mounts = f"mount --bind '{boot}' /proc/sys/kernel/random/boot_id"
        mounts += f"; mount --bind '{machine}' /etc/machine-id"
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"{mounts}; {script}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    @pytest.mark.parametrize("launched_there", [False, True])
    @pytest.mark.parametrize("is_recorded", [False, True])
    def test_a_live_agent_of_one_is_never_lost_to_the_other(
        self, launched_there: bool, is_recorded: bool, tmp_path: Path, run: Run
    ) -> None:
        """Also where only the pid file says who it is: its launcher did not live to record it."""
        words = ("launch", "exec", "--settle", "0", "--cwd", str(tmp_path), "--", "sleep", "60")
        command = " ".join(f"'{word}'" for word in (*AGENTCTL, *words))
        session = (self.on_other(tmp_path, command) if launched_there else run(list(words)).stdout).strip()
        home = Path(os.environ["AGENTCTL_HOME"])
        pid, _, _, shim, *_ = (home / "sessions" / session / "pid").read_text().split()
        if not is_recorded:
            with sqlite3.connect(home / "agentctl.db") as db:
                db.execute("UPDATE sessions SET status = 'starting', pid = NULL, start_token = NULL")
            db.close()
        os.kill(int(shim), signal.SIGKILL)
        lock = str(home / "sessions" / session / "lock")
        assert waiting.poll(lambda: flock.probe(lock) is Held.NO, timeout=10)
        if launched_there:
            shown = run(f"status --json {session}").json()["sessions"][0]
        else:
            shown = json.loads(self.on_other(tmp_path, words_of(session)))["sessions"][0]
        token = processes.token_of(int(pid))
        assert token is not None
        processes.signal_process(int(pid), token, signal.SIGKILL)
        assert shown["outcome"] is None
        assert "belongs to another machine" in shown["reason"]
