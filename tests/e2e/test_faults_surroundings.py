"""Hostile surroundings: ignored signals, closed streams, a deleted directory, an odd umask, traps."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    AGENTCTL,
    PATIENCE,
    document,
    endings,
    launch_at_gate,
    open_gate,
    processes_of,
    row,
)

COMMAND = shlex.join(AGENTCTL)
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE)


def shell(script: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run agentctl as a shell script would: `$@` are its words."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *words], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def mask_of(numbers: tuple[signal.Signals, ...]) -> int:
    return sum(1 << (number - 1) for number in numbers)


@pytest.mark.parametrize("how", ["ignored", "blocked", "nohup"])
def test_the_agent_gets_default_signals_whatever_the_launcher_was_started_with(
    how: str, place: Path, wait_until: WaitUntil
) -> None:
    # Told by a shell: Python as the agent would ignore PIPE by itself. And by the shell's own
    # words: it blocks everything for a moment while it starts another program.
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", "sh", "-c"]
    words += [
        "while read -r name value; do case $name in Sig[IB]*) echo $name $value ;; esac; done"
        " </proc/$$/status >seen.new; mv seen.new seen"
    ]

    def prepare() -> None:
        if how == "ignored":
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        elif how == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    program = ["nohup", *AGENTCTL] if how == "nohup" else [*AGENTCTL]
    done = subprocess.run([*program, *words], preexec_fn=prepare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wait_until((place / "seen").exists, timeout=PATIENCE)
    seen = dict(line.split() for line in (place / "seen").read_text().splitlines())
    assert int(seen["SigIgn:"], 16) & mask_of(SIGNALS) == 0
    assert int(seen["SigBlk:"], 16) & mask_of(SIGNALS) == 0


def test_a_session_survives_the_end_of_its_terminal(
    place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Launched by a shell that leads a terminal's session; then the terminal is closed."""
    import pty

    os.mkfifo(place / "gate")
    primary, secondary = pty.openpty()
    script = f'{COMMAND} "$@" >{shlex.quote(str(tmp_path / "id"))}; read -r line'
    words = [
        "launch",
        "exec",
        "--settle",
        "0s",
        "--cwd",
        str(place),
        "--",
        "sh",
        "-c",
        "read -r l <gate; exit 4",
    ]
    leader = subprocess.Popen(
        ["setsid", "--ctty", "sh", "-c", script, "sh", *words],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
    )
    os.close(secondary)
    wait_until(lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text().strip(), timeout=PATIENCE)
    session_id = (tmp_path / "id").read_text().strip()
    os.close(primary)
    leader.wait(10)
    assert document(run, session_id)["status"] == "running"
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).exit_code == 4


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_reach_the_state_or_the_agent(
    closed: str, place: Path, run: Run, wait_until: WaitUntil
) -> None:
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", "sh", "-c"]
    words += ["cat; echo out; echo err >&2; ls /proc/self/fd | wc -l >fds; exit 6"]
    shell(f'{COMMAND} "$@" {closed}', *words)
    (session_id,) = run("list -aq").lines
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert (row(session_id).outcome, row(session_id).exit_code) == (Outcome.FAILED, 6)
    assert run(["logs", session_id, "--raw"]).lines == ["out", "err"]
    assert endings(session_id) == ["session.error"]
    assert int((place / "fds").read_text()) == 5  # 0, 1, 2, the tree and the directory that ls reads


def test_nothing_of_the_launcher_is_inherited_by_the_agent(
    place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """A pipe that stays open in the agent would keep `$(agentctl launch ...)` waiting for it."""
    launched = shell(f'id=$({COMMAND} "$@" 9>held); echo "got $id"', *_gated(place), cwd=tmp_path)
    assert launched.stdout.startswith("got "), launched
    session_id = launched.stdout.split()[1]
    open_descriptors = {
        os.readlink(link) for link in Path(f"/proc/{row(session_id).pid}/fd").iterdir() if link.is_symlink()
    }
    assert not any("pipe:" in each or each.endswith(("/lock", ".db", "-wal")) for each in open_descriptors)
    run(["stop", session_id])


def _gated(place: Path) -> list[str]:
    os.mkfifo(place / "gate")
    return ["launch", "exec", "--cwd", str(place), "--", "sh", "-c", "read -r line <gate"]


def test_from_a_deleted_directory_everything_works_that_names_its_own(
    place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    def from_nowhere(*words: str) -> subprocess.CompletedProcess[str]:
        gone = tmp_path / "gone"
        gone.mkdir()
        return shell(f'rmdir {shlex.quote(str(gone))}; exec {COMMAND} "$@"', *words, cwd=gone)

    refused = from_nowhere("launch", "exec", "--", "true")
    assert refused.returncode == 10, refused
    assert "--cwd" in refused.stderr
    launched = from_nowhere(*_gated(place))
    assert launched.returncode == 0, launched
    session_id = launched.stdout.strip()
    assert from_nowhere("list", "-q").stdout.split() == [session_id]
    stopped = from_nowhere("stop", session_id)
    assert stopped.returncode == 0, stopped
    assert row(session_id).outcome is Outcome.CANCELLED


@pytest.mark.parametrize("umask", ["000", "077", "777"])
def test_files_are_private_under_any_umask_and_the_agent_keeps_its_own(
    umask: str, sealed_home: Path, place: Path, run: Run, wait_until: WaitUntil
) -> None:
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "-p", "prompt", "--fuse", "1h", "--"]
    agent = [
        "sh",
        "-c",
        f"umask >{place}/seen.new; mv {place}/seen.new {place}/seen; read -r l <gate; exit 0",
    ]
    os.mkfifo(place / "gate")
    if umask == "777":
        (place / "seen.new").touch()
        agent[2] = agent[2].replace(">", ">>", 1)
    launched = shell(f'umask {umask}; exec {COMMAND} "$@"', *words, *agent)
    assert launched.returncode == 0, launched
    session_id = launched.stdout.strip()
    wait_until((place / "seen").exists, timeout=PATIENCE)
    assert (place / "seen").read_text().strip() == f"0{umask}"

    def modes() -> dict[str, str]:
        return {
            str(path.relative_to(sealed_home)): oct(stat.S_IMODE(path.stat().st_mode))
            for path in [sealed_home, *sealed_home.rglob("*")]
            if stat.S_IMODE(path.stat().st_mode) & 0o077
        }

    assert modes() == {}
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).outcome is Outcome.SUCCEEDED
    assert modes() == {}
    names = {path.name for path in (sealed_home / "sessions" / session_id).iterdir()}
    assert {"lock", "tree", "prompt", "output.log", "pid", "exit", "fuse", "session.json"} == names


@pytest.mark.parametrize(
    "variable", ["ENV", "BASH_ENV", "SHELLOPTS", "IFS", "CDPATH", "POSIXLY_CORRECT", "PS4"]
)
def test_variables_that_shells_obey_do_not_confuse_the_shim(
    variable: str, place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    startup = tmp_path / "startup.sh"
    startup.write_text(f"touch {tmp_path / 'ran'}\nexit 9\n")
    value = {
        "ENV": str(startup),
        "BASH_ENV": str(startup),
        "SHELLOPTS": "noexec",
        "IFS": "/0123456789abcdef- ",
    }
    environ = {variable: value.get(variable, "/")}
    session_id = launch_at_gate(run, place, code=2, env=environ) if not (place / "gate").exists() else ""
    open_gate(place)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).exit_code == 2


def test_a_limit_on_processes_is_an_error_and_leaves_nothing(
    place: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """As another user would meet it: no shim can be started. For root the limit does not count."""
    import resource

    def no_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))

    done = subprocess.run(
        [*AGENTCTL, "launch", "exec", "--cwd", str(place), "--", "true"],
        preexec_fn=no_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1, 13), done
    assert "internal error" not in done.stderr
    run("list")
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    run(["launch", "exec", "--cwd", str(place), "--wait", "--", "true"])
