"""What a session leaves running: ended with it, asked first, named, and finished after any kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.model import Identity, Life
from agentctl.core.sweeping import PendingSweep
from agentctl.host import processes
from agentctl.host.clock import utcnow
from agentctl.host.paths import SessionFiles
from agentctl.ops.reconcile import terminate
from agentctl.store import sweeps
from agentctl.store.db import transaction
from tests.conftest import Run, RunReal, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    is_running,
    launch,
    launch_at_gate,
    ledger,
    open_gate,
    pids_of,
    row,
    snapshot,
    state,
)

ELSEWHERE = "AGENTCTL_SESSION_ID=aaaaaaaa-0000-4000-8000-000000000000"

DETACHED = {
    "no environment, no parent": "(env -i setsid /bin/sleep 300 & echo $! >tool.new) ; mv tool.new tool",
    "the word of a hook": "AGENTCTL_HOOK=1 setsid /bin/sleep 300 & echo $! >tool.new; mv tool.new tool",
    "the word of a shim": "(AGENTCTL_SHIM=x setsid /bin/sleep 300 & echo $! >tool.new) ; mv tool.new tool",
    "another session's id": f"({ELSEWHERE} setsid /bin/sleep 300 & echo $! >tool.new); mv tool.new tool",
}
"""What a tool does to leave its session → how; its pid is in the file `tool`."""


def pid_in(path: Path, wait_until: WaitUntil) -> int:
    wait_until(path.exists, timeout=PATIENCE)
    return int(path.read_text())


def sleeper_in(path: Path, wait_until: WaitUntil) -> int:
    """The same of a tool that becomes `sleep`: its pid is known before."""
    pid = pid_in(path, wait_until)
    wait_until(lambda: (stat := processes.stat_of(pid)) is not None and stat.command == "sleep")
    return pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has reapers other than PID 1")
@pytest.mark.parametrize("script", DETACHED.values(), ids=DETACHED.keys())
def test_a_tool_that_hides_is_ended_and_named(
    script: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch(run, place, "sh", "-c", f"{script}; exec sleep 301")
    tool = sleeper_in(place / "tool", wait_until)
    said = run(["stop", session_id, "--json"]).json()
    assert not is_running(tool)
    assert {"session_id": session_id, "pid": tool, "command": "sleep", "state": "ended"} in said["processes"]
    assert ledger(session_id)[-1] == "session.swept"


def test_a_tool_gets_term_and_time_before_kill(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    place = tmp_path / "work"
    place.mkdir()
    (place / "tool.sh").write_text(
        "trap 'echo >cleaned; exit' TERM\necho >ready\nwhile :; do sleep 0.05; done"
    )
    agent = "trap 'exit 0' TERM; setsid sh tool.sh & while :; do sleep 0.05; done"
    session_id = launch(run, place, "sh", "-c", agent)
    wait_until((place / "ready").exists, timeout=PATIENCE)
    run(["stop", session_id])
    assert (place / "cleaned").exists()


def test_force_gives_a_tool_no_time(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    place = tmp_path / "work"
    script = "trap 'echo >cleaned' TERM; echo $$ >tool.new; mv tool.new tool; while :; do sleep 0.05; done"
    session_id = launch(run, place, "sh", "-c", 'setsid sh -c "$1" & exec sleep 300', "agent", script)
    tool = pid_in(place / "tool", wait_until)
    run(["stop", "--force", session_id])
    assert not is_running(tool)
    assert not (place / "cleaned").exists()


def test_once_the_shim_has_left_a_copied_id_only_names(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id = launch(run, tmp_path / "work", "sleep", "300")
    shim = pids_of(session_id).shim
    run(["stop", session_id])
    wait_until(lambda: not is_running(shim))
    files = SessionFiles(str(Path(os.environ["AGENTCTL_HOME"], "sessions", session_id)))
    copied = {**os.environ, "AGENTCTL_SESSION_ID": session_id}
    with subprocess.Popen(["sleep", "300"], env=copied) as editor:
        ended, named = (
            {one.pid for one in terminate.tree(row(session_id), files, by_mark=by_mark)}
            for by_mark in (False, True)
        )
        editor.kill()
    assert (ended, named) == (set(), {editor.pid})


def test_a_copied_id_makes_nobody_part_of_a_live_session(tmp_path: Path, run: Run) -> None:
    session_id = launch(run, tmp_path / "work", "sleep", "300")
    copied = {**os.environ, "AGENTCTL_SESSION_ID": session_id}
    with subprocess.Popen(["sleep", "300"], env=copied) as editor:
        run(["stop", session_id])
        assert editor.poll() is None
        editor.kill()


def test_strays_of_a_session_that_ended_by_itself_are_named_and_ended_only_by_force(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    session_id = launch(run, place, "sh", "-c", "setsid sleep 300 & echo $! >tool.new; mv tool.new tool")
    tool = sleeper_in(place / "tool", wait_until)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert f"{tool} (sleep)" in run(["stop", session_id]).stderr
    (one,) = run(["stop", session_id, "--json"]).json()["processes"]
    assert (one["pid"], one["state"]) == (tool, "left")
    assert is_running(tool)
    run(["stop", "--force", session_id])
    assert not is_running(tool)
    assert one not in run(["stop", session_id, "--json"]).json()["processes"]


def test_what_a_hook_leaves_is_the_hooks(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    """It loses its parent below the shim, as a tool of the agent does, but after the agent's end."""
    place = tmp_path / "work"
    os.mkfifo(tmp_path / "go")
    hook = "(env -i setsid sleep 300 & echo $! >new); mv new left; read -r line <go"
    hook = f"cd {tmp_path}; {hook}"
    session_id = launch_at_gate(run, place, options=["--on-complete", hook])
    open_gate(place)
    left = pid_in(tmp_path / "left", wait_until)
    try:
        assert is_running(pids_of(session_id).shim)
        assert run(["stop", "--force", session_id, "--json"]).json()["processes"] == []
        assert is_running(left)
    finally:
        (tmp_path / "go").write_text("\n")
        os.kill(left, signal.SIGKILL)


KILLED_AT = {
    "before anybody sweeps": "agentctl.ops.reconcile.sweep.hand_over",
    "before the first signal": "agentctl.ops.reconcile.terminate.end_all",
    "before it is recorded": "agentctl.ops.reconcile.sweep.record",
}
"""Step of a sweep → the function in whose place the process kills itself."""

DIE = """
import importlib, os, sys
module, name = sys.argv[1].rsplit(".", 1)
setattr(importlib.import_module(module), name, lambda *a, **n: os.kill(os.getpid(), 9))
from agentctl.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("finisher", ["reap", "list", "stop ID"])
@pytest.mark.parametrize("step", KILLED_AT.values(), ids=KILLED_AT.keys())
def test_a_sweep_is_finished_whoever_is_killed(
    step: str, finisher: str, tmp_path: Path, run_real: RunReal, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    script = "trap '' TERM; echo $$ >tool.new; mv tool.new tool; while :; do sleep 0.05; done"
    session_id = launch(run, place, "sh", "-c", 'setsid sh -c "$1" & exec sleep 300', "agent", script)
    tool = pid_in(place / "tool", wait_until)
    os.kill(pids_of(session_id).shim, signal.SIGKILL)  # so that its finalising call does not come first
    killed = subprocess.run(
        [sys.executable, "-c", DIE, step, "stop", session_id], check=False, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert is_running(tool) or step.endswith(".record")
    run_real(finisher.replace("ID", session_id))
    wait_until(lambda: not is_running(tool), timeout=PATIENCE)
    wait_until(lambda: _is_swept(session_id), timeout=PATIENCE)


def _is_swept(session_id: str) -> bool:
    with snapshot() as db:
        found = sweeps.get(db, session_id)
    return found is not None and found.done_at is not None


def test_what_could_not_be_ended_is_told_until_it_is_gone(tmp_path: Path, run: Run) -> None:
    session_id = launch(run, tmp_path / "work", "sleep", "300")
    run(["stop", session_id])
    with subprocess.Popen(["sleep", "300"]) as other:
        token = processes.token_of(other.pid) or ""
        now = utcnow()
        with state() as db, transaction(db):
            stubborn = {Identity(other.pid, token): "sleep"}
            sweeps.put(db, PendingSweep(session_id, {}, now, now, now, survivors=stubborn))
        for _ in range(2):
            assert f"{other.pid} (sleep)" in run(["stop", session_id], exit=3).stderr
        assert processes.look(other.pid, token) is Life.ALIVE
        other.kill()
    assert "could not be ended" not in run(["stop", session_id]).stderr
