"""Stopping leaves no process: tools in sessions of their own, double forks, emptied environments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import PATIENCE, begin, finish, is_running, launch, pids_of, processes_of, row

PRELUDE = """
import os, signal, subprocess, sys, time

def note(pid):
    with open("tools.new", "a") as file:
        file.write(f"{pid}\\n")

def ready():
    os.rename("tools.new", "tools")
    signal.pause()
"""

AGENTS = {
    "in a session of its own": """
tool = subprocess.Popen(["sleep", "300"], start_new_session=True)
note(tool.pid)
ready()
""",
    "forked twice, its parent gone": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note(os.getpid())
        os.rename("tools.new", "tools")
        os.execvp("sleep", ["sleep", "300"])
    os._exit(0)
os.wait()
signal.pause()
""",
    "with an empty environment, in a session of its own": """
tool = subprocess.Popen(["sleep", "300"], start_new_session=True, env={})
note(tool.pid)
ready()
""",
    "a grandchild with an empty environment": """
tool = subprocess.Popen(["/bin/sh", "-c", "sleep 300 & echo $! >child; wait"], start_new_session=True, env={})
while not (os.path.exists("child") and open("child").read().endswith("\\n")):
    time.sleep(0.01)
note(tool.pid)
note(int(open("child").read()))
ready()
""",
    "ignoring TERM and HUP": """
tool = subprocess.Popen(
    ["/bin/sh", "-c", "trap '' TERM HUP INT; sleep 300 & wait; wait"], start_new_session=True
)
note(tool.pid)
ready()
""",
    "stopped": """
tool = subprocess.Popen(["sleep", "300"], start_new_session=True)
os.kill(tool.pid, signal.SIGSTOP)
note(tool.pid)
ready()
""",
    "in the agent's own group": """
tool = subprocess.Popen(["sleep", "300"], env={})
note(tool.pid)
ready()
""",
}


def launch_with_tool(run: Run, wait_until: WaitUntil, place: Path, what: str) -> tuple[str, list[int]]:
    """A session whose agent runs such tools, and their pids."""
    session_id = launch(run, place, sys.executable, "-c", PRELUDE + AGENTS[what])
    wait_until((place / "tools").exists, timeout=PATIENCE)
    tools = [int(line) for line in (place / "tools").read_text().split()]
    assert all(map(is_running, tools))
    return session_id, tools


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("what", AGENTS)
def test_no_tool_outlives_a_stop(
    what: str, options: list[str], tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    session_id, tools = launch_with_tool(run, wait_until, tmp_path / "work", what)
    run(["stop", session_id, *options])
    assert [pid for pid in tools if is_running(pid)] == []
    assert row(session_id).outcome is Outcome.CANCELLED
    assert not is_running(pids_of(session_id).agent)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_the_demo_agents_tool_is_gone_after_stop(
    tmp_path: Path, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")
    place = tmp_path / "work"
    place.mkdir()
    words = ["launch", "demo", "--settle", "0s", "--cwd", str(place), "-p", "run a tool"]
    session_id = run(words).stdout.strip()
    wait_until(
        lambda: ["sleep", "300"] in processes_of(tmp_path, session_id=session_id).values(), timeout=PATIENCE
    )
    run(["stop", session_id])
    assert ["sleep", "300"] not in processes_of(tmp_path).values()
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


@pytest.mark.parametrize("what", ["in a session of its own", "forked twice, its parent gone"])
def test_a_fuse_that_blows_leaves_no_tool_either(
    what: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes as long as the fuse, two seconds."""
    place = tmp_path / "work"
    options = ["--fuse", "2s"]
    session_id = launch(run, place, sys.executable, "-c", PRELUDE + AGENTS[what], options=options)
    wait_until((place / "tools").exists, timeout=PATIENCE)
    tools = [int(line) for line in (place / "tools").read_text().split()]
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).outcome is Outcome.TIMED_OUT
    wait_until(lambda: not any(map(is_running, tools)), timeout=PATIENCE)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_tools_of_an_agent_that_ended_by_itself_are_left_alone(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """A build server that an agent started on purpose may go on; only a request to stop ends it."""
    place = tmp_path / "work"
    session_id = launch(run, place, "sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $! >tools; exit 0")
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).outcome is Outcome.SUCCEEDED
    assert is_running(int((place / "tools").read_text()))


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process beside the session, in the same directory and of the same program."""
    process = subprocess.Popen(["sleep", "300"], cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    yield process
    process.kill()
    process.wait()


def test_nobody_else_is_ended(
    tmp_path: Path, run: Run, wait_until: WaitUntil, bystander: subprocess.Popen[bytes]
) -> None:
    session_id, _ = launch_with_tool(run, wait_until, tmp_path / "work", "in the agent's own group")
    run(["stop", session_id, "--force"])
    assert bystander.poll() is None


def test_an_agent_that_stops_itself_is_stopped_with_its_tools_and_the_stopper_lives_to_tell(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """`agentctl stop` run by a tool of the agent carries its session id, and is not its own victim."""
    place = tmp_path / "work"
    script = f'sleep 300 & {sys.executable} -P -m agentctl stop "$AGENTCTL_SESSION_ID"; echo "code $?" >told'
    session_id = launch(run, place, "sh", "-c", f"setsid sh -c '{script}' & wait")
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    assert row(session_id).outcome is Outcome.CANCELLED
    wait_until(lambda: not is_running(pids_of(session_id).agent), timeout=PATIENCE)
    wait_until(
        lambda: (place / "told").exists() and (place / "told").read_text() == "code 0\n", timeout=PATIENCE
    )
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_a_stopper_below_the_agent_outlives_the_end_that_another_command_records(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """The agent halts the stopper on its TERM: the finalising call leaves the rest to the stopper."""
    place = tmp_path / "work"
    stopper = f'echo $$ >stopper; exec {sys.executable} -P -m agentctl stop "$AGENTCTL_SESSION_ID"'
    script = f"sh -c '{stopper}'; echo \"code $?\" >told"
    agent = (
        "trap 'kill -STOP $(cat stopper); exit 0' TERM\n"
        'setsid sh -c "$1" & setsid sleep 300 & wait; sleep 300'
    )
    session_id = launch(run, place, "sh", "-c", agent, "agent", script)
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    wait_until(lambda: not is_running(pids_of(session_id).shim), timeout=PATIENCE)
    halted = int((place / "stopper").read_text())
    assert {halted, psutil.Process(halted).ppid()} <= set(processes_of(tmp_path))
    os.kill(halted, signal.SIGCONT)
    wait_until(
        lambda: (place / "told").exists() and (place / "told").read_text() == "code 0\n", timeout=PATIENCE
    )
    assert row(session_id).outcome is Outcome.CANCELLED
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_a_child_session_is_not_part_of_its_parents_tree(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    (tmp_path / "child").mkdir()
    inner = f"{sys.executable} -P -m agentctl launch exec --settle 0s --cwd {tmp_path / 'child'} -- sleep 300"
    parent = launch(run, tmp_path / "work", "sh", "-c", f"{inner} >child.new; mv child.new child; sleep 300")
    wait_until((tmp_path / "work" / "child").exists, timeout=PATIENCE)
    child = (tmp_path / "work" / "child").read_text().strip()
    assert row(child).parent_id == parent
    run(["stop", parent])
    assert is_running(pids_of(child).agent)
    assert row(child).outcome is None
    run(["stop", child, "--force"])
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def test_a_hook_under_way_is_not_taken_for_a_tool(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    """The hook of an ending runs while another stop asks again."""
    os.mkfifo(tmp_path / "hook")
    hook = f"echo >{tmp_path / 'begun'}; read -r line <{tmp_path / 'hook'}; echo $line >{tmp_path / 'done'}"
    session_id = launch(run, tmp_path / "work", "sleep", "300", options=["--on-complete", hook])
    first = begin(["stop", session_id])
    wait_until((tmp_path / "begun").exists, timeout=PATIENCE)
    run(["stop", session_id, "--force"])
    (tmp_path / "hook").write_text("finished\n")
    wait_until(
        lambda: (tmp_path / "done").exists() and (tmp_path / "done").read_text() == "finished\n",
        timeout=PATIENCE,
    )
    assert finish(first).exit == 0
