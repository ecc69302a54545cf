"""Real agents at work outside, beside and beneath sessions: whose process is whose."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.ids import short
from tests.conftest import RunReal, WaitUntil
from tests.e2e.claude_env import FOREIGN, claude_environment
from tests.e2e.opencode_runs import PATIENCE, began, listed, status, when_known
from tests.e2e.pi_env import pi_environment
from tests.fake_model import FakeModel

pytestmark = pytest.mark.agents

NEIGHBOUR = "01a201fd-541c-72a3-b440-0e143e00c410"


@pytest.fixture
def home(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The home of the real claude and the real pi, which are in PATH, with no model but the fake one."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.lower() == "all_proxy":
            monkeypatch.delenv(name)
    made = tmp_path / "home"
    for environment in (claude_environment, pi_environment):
        for name, value in environment(made, model.url).items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory for agents to work in."""
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def outside(home: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs that the test starts by itself; ended with it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def start(*words: str, cwd: Path, told: Path) -> subprocess.Popen[bytes]:
    """A program at `cwd` whose environment says that it is at `told`."""
    with open(cwd.with_suffix(".log"), "wb") as log:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, "PWD": str(told)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def launch(run_real: RunReal, cwd: Path, adapter: str, *words: str) -> str:
    """The id of the session that a launch makes."""
    (session,) = run_real(["launch", adapter, "--cwd", str(cwd), *words], timeout=PATIENCE).lines
    return session


def found_outside(
    run_real: RunReal, wait_until: WaitUntil, *options: str, standing: str = "running"
) -> dict[str, Any]:
    """The one external session, once it has got so far."""

    def look() -> dict[str, Any]:
        found = [one for one in listed(run_real, *options) if one["source"] == "external"]
        assert [one["status"] for one in found] == [standing], found
        return found[0]

    found: dict[str, Any] = wait_until(look, 15)
    return found


def leave_neighbour(sessions: Path, cwd: Path, at: datetime) -> None:
    """The file of an ended session of pi's that was begun at `at`."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = [{"type": "text", "text": "Hi"}]
    usage = {"input": 10, "output": 3, "cacheRead": 0, "cacheWrite": 0}
    answer = {"role": "assistant", "content": text, "usage": usage, "stopReason": "stop"}
    records: list[dict[str, Any]] = [
        {"type": "session", "version": 3, "id": NEIGHBOUR, "timestamp": stamp, "cwd": str(cwd)},
        {"type": "message", "id": "1", "timestamp": stamp, "message": {"role": "user", "content": "Hello"}},
        {"type": "message", "id": "2", "parentId": "1", "timestamp": stamp, "message": answer},
    ]
    place = sessions / f"--{str(cwd).strip('/').replace('/', '-')}--"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{stamp.replace(':', '-').replace('.', '-')}_{NEIGHBOUR}.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def test_a_neighbours_session_is_not_given_the_agent_of_a_tracked_one(
    run_real: RunReal, wait_until: WaitUntil, home: Path, project: Path
) -> None:
    """pi's file comes with the first answer: until then the neighbour's alone began where and when it did."""
    session = launch(run_real, project, "pi", "--model", "mock/slow60", "-p", "Say hello.", "--settle", "0s")
    known = when_known(run_real, wait_until, session)
    agent = psutil.Process(known["pid"])
    sessions = home / ".pi" / "agent" / "sessions"
    assert not list(sessions.rglob("*.jsonl")), "the test's own premise"
    leave_neighbour(sessions, project, datetime.fromtimestamp(began(agent), UTC) + timedelta(seconds=1))
    neighbour = found_outside(run_real, wait_until, "-a", standing="stopped")
    assert (neighbour["native_id"], neighbour["pid"]) == (NEIGHBOUR, None)
    run_real(["stop", neighbour["id"]], exit=0)
    assert agent.is_running() and agent.status() != psutil.STATUS_ZOMBIE
    told = status(run_real, session)
    assert (told["status"], told["pid"]) == ("running", agent.pid)
    run_real(["stop", "--force", session])


def test_a_tracked_conversation_that_goes_on_outside_is_shown_and_not_resumed(
    run_real: RunReal,
    wait_until: WaitUntil,
    outside: list[subprocess.Popen[bytes]],
    project: Path,
) -> None:
    # Linux tells to a second when it booted, and so when a process began: this run takes longer.
    session = launch(run_real, project, "claude-code", "--model", "slow1", "-p", "Say hello.", "--wait")
    native = status(run_real, session)["native_id"]
    assert listed(run_real) == []
    words = ("claude", "-p", "And?", "--model", "slow60", "--resume", native)
    process = start(*words, cwd=project, told=project)
    outside.append(process)
    found = found_outside(run_real, wait_until)
    assert (found["native_id"], found["pid"]) == (native, process.pid)
    for options in ((), ("--force",)):
        refused = run_real(["resume", "--json", session, "Go on.", *options], exit=11)
        error = refused.error()
        assert str(process.pid) in error["message"]
        assert short(found["id"]) in error["hint"]
    assert process.poll() is None
    process.terminate()
    process.wait(PATIENCE)
    assert listed(run_real) == []
    again = run_real(["resume", session, "Go on.", "--model", "mock", "--wait"], timeout=PATIENCE).lines[0]
    assert status(run_real, again)["native_id"] == native


def test_a_run_is_found_by_where_it_is_not_by_what_it_was_told(
    run_real: RunReal,
    wait_until: WaitUntil,
    outside: list[subprocess.Popen[bytes]],
    project: Path,
    tmp_path: Path,
) -> None:
    """A launcher that is no shell leaves its own PWD in the environment."""
    process = start("pi", "-p", "--model", "mock/tool-bash-30", "Say hello.", cwd=project, told=tmp_path)
    outside.append(process)
    found = found_outside(run_real, wait_until)
    assert (found["adapter"], found["pid"]) == ("pi", process.pid)
    assert found["cwd"] == str(project)


def test_an_agent_below_a_plain_command_is_listed(
    run_real: RunReal, wait_until: WaitUntil, home: Path, project: Path
) -> None:
    """Nobody will ever read its id from the log of an `exec`, so it is not one to wait for."""
    script = 'claude -p "Say hello." --model slow60; true'
    session = launch(run_real, project, "exec", "--settle", "0s", "--", "sh", "-c", script)
    found = found_outside(run_real, wait_until)
    assert (found["adapter"], found["cwd"]) == ("claude-code", str(project))
    parents = {parent.pid for parent in psutil.Process(found["pid"]).parents()}
    assert status(run_real, session)["pid"] in parents
    run_real(["stop", "--force", session])
