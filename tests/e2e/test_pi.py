"""The real pi: launched, failing, stopped, killed, resumed, and found where agentctl did not start it.

In json mode pi exits 0 whatever became of the call of its model, and this release makes a
session's file only with the first answer. Its tools run in sessions of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Outcome, RunReal, WaitUntil
from tests.e2e.opencode_runs import (
    PATIENCE,
    PRECISION,
    Watch,
    events,
    instant,
    listed,
    processes,
    status,
    tagged,
    tool,
    when_known,
)
from tests.e2e.pi_env import pi_environment
from tests.fake_model import DONE, GREETING, FakeModel

pytestmark = pytest.mark.agents

TOKENS = {"input": 10, "output": 3, "cache_read": 0, "cache_write": 0}
COST = 0.000016


@pytest.fixture
def pi(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The real pi first in PATH, with no model but the fake one; where it keeps its sessions."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in pi_environment(tmp_path / "home", model.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "home" / ".pi" / "agent" / "sessions"


def launch(
    run_real: RunReal,
    cwd: Path,
    *options: str,
    model: str = "mock/mock",
    prompt: str = "Say hello.",
    exit: int | None = 0,  # noqa: A002
) -> Outcome:
    """`agentctl launch pi` in a directory that is made if it is not there."""
    cwd.mkdir(exist_ok=True)
    words = ["launch", "pi", "--cwd", str(cwd), "--model", model, "-p", prompt, *options]
    return run_real(words, exit=exit, timeout=PATIENCE)


def resume(run_real: RunReal, session: str, message: str, *options: str) -> dict[str, Any]:
    """The document of the session that went on with another, once it is over."""
    words = ["resume", session, message, "--wait", *options]
    return status(run_real, run_real(words, timeout=PATIENCE).lines[0])


def expect(told: dict[str, Any], **expected: Any) -> None:
    assert {key: told[key] for key in expected} == expected, told["reason"]


def test_a_run_that_succeeds_is_told_truly(
    run_real: RunReal, wait_until: WaitUntil, pi: Path, tmp_path: Path
) -> None:
    """Known by pi's own id before its model has answered, and before there is a file."""
    project = tmp_path / "project"
    prompt = '--help @nobody "quoted" $HOME\n/second line'
    (session,) = launch(run_real, project, "--settle", "0s", model="mock/slow2", prompt=prompt).lines
    known = when_known(run_real, wait_until, session)
    seen = Watch(known["pid"])
    assert not list(pi.rglob("*.jsonl")), "the test's own premise: pi makes its file late"
    assert [one["id"] for one in listed(run_real)] == [session]
    why = run_real(["why", "--json", session]).json()
    assert (why["status"], why["liveness"]) == ("running", "alive")
    run_real(["wait", session], timeout=PATIENCE)
    wait_until(lambda: seen.ended is not None)
    told = status(run_real, session)
    expect(
        told,
        status="stopped",
        outcome="succeeded",
        exit_code=0,
        signal=None,
        native_id=known["native_id"],
        model="mock/slow2",
        result=GREETING,
        turns=1,
        tokens=TOKENS,
        cost_usd=pytest.approx(COST),
        notes=[],
        cwd=str(project),
        adapter_version=None,
    )
    assert instant(told["started_at"]) == pytest.approx(seen.started, abs=PRECISION)
    assert seen.ended is not None
    assert instant(told["ended_at"]) == pytest.approx(seen.ended, abs=PRECISION)
    (file,) = pi.rglob("*.jsonl")
    assert told["transcript_path"] == str(file) and told["native_id"] in file.name
    assert run_real(["peek", session]).stdout.strip() == GREETING
    assert run_real(["logs", session]).lines == [
        '> --help @nobody "quoted" $HOME',
        "> /second line",
        GREETING,
    ]
    assert [one["id"] for one in listed(run_real, "-a")] == [session], "its own row hides its file"


def test_a_tool_runs_and_is_shown(run_real: RunReal, pi: Path, tmp_path: Path) -> None:
    (session,) = launch(run_real, tmp_path / "project", "--wait", model="mock/tool-bash-0.2").lines
    told = status(run_real, session)
    expect(told, outcome="succeeded", turns=2, result=DONE, tokens={**TOKENS, "input": 20, "output": 6})
    shown = run_real(["logs", session]).lines
    assert shown[:3] == ["> Say hello.", "Calling a tool", "[bash] sleep 0.2"]
    assert shown[-1] == DONE


def test_configured_tools_are_all_that_it_gets(
    run_real: RunReal, pi: Path, model: FakeModel, tmp_path: Path
) -> None:
    config = Path(run_real(["config", "path"]).stdout.strip())
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[adapters.pi]\ntools = ["read", "ls"]\nprovider = "mock"\n')
    launch(run_real, tmp_path / "project", "--wait", model="mock")
    (request,) = model.requests
    assert {tool["function"]["name"] for tool in request.body["tools"]} == {"read", "ls"}


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("mock/http401", 0, "the fake model says 401"),
        ("mock/http500", 0, "the fake model says 500"),
        ("refused/mock", 0, "Connection error"),
        ("nowhere/mock", 1, 'Model "nowhere/mock" not found'),
    ],
    ids=["401", "500", "refused", "no provider"],
)
def test_a_failure_is_one_whatever_the_code(
    run_real: RunReal, pi: Path, tmp_path: Path, name: str, code: int, words: str
) -> None:
    (session,) = launch(run_real, tmp_path / "project", "--settle", "0s", model=name).lines
    waited = run_real(["wait", session], exit=1, timeout=PATIENCE)
    assert words in waited.stderr
    told = status(run_real, session)
    expect(told, status="error", outcome="failed", exit_code=code, turns=None)
    assert words in told["result"] and words in told["reason"]
    assert len(told["reason"].splitlines()) == 1
    assert any(line.startswith("error: ") or words in line for line in run_real(["logs", session]).lines)


def test_a_launch_that_settles_tells_an_early_failure(run_real: RunReal, pi: Path, tmp_path: Path) -> None:
    failed = launch(run_real, tmp_path / "project", "--settle", "1m", model="mock/http401", exit=1)
    assert failed.stdout == ""
    assert "the fake model says 401" in failed.stderr.splitlines()[0]


@pytest.fixture
def in_tool(
    run_real: RunReal, wait_until: WaitUntil, pi: Path, tmp_path: Path
) -> tuple[dict[str, Any], psutil.Process]:
    """A run that waits for its tool, and that tool."""
    (session,) = launch(run_real, tmp_path / "project", "--settle", "0s", model="mock/tool-bash-30").lines
    (sleeping,) = wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    return when_known(run_real, wait_until, session), sleeping


def test_stop_leaves_no_tool_behind(
    run_real: RunReal, wait_until: WaitUntil, in_tool: tuple[dict[str, Any], psutil.Process]
) -> None:
    told, sleeping = in_tool
    assert os.getsid(sleeping.pid) != os.getsid(told["pid"])
    before = tagged(told["id"])
    assert {told["pid"], sleeping.pid} < set(before)
    run_real(["stop", told["id"]])
    wait_until(lambda: not tagged(told["id"]))
    assert not list(processes(lambda process: process.pid in before))
    after = status(run_real, told["id"])
    expect(after, status="stopped", outcome="cancelled", exit_code=143)
    assert after["reason"].startswith("stopped on request after")
    kinds = [event["type"] for event in events(run_real, told["id"])]
    assert (kinds[0], kinds.count("session.stopped")) == ("session.started", 1)


def test_stop_by_force_leaves_no_tool_behind(
    run_real: RunReal, wait_until: WaitUntil, in_tool: tuple[dict[str, Any], psutil.Process]
) -> None:
    told, _ = in_tool
    run_real(["stop", "--force", told["id"]])
    wait_until(lambda: not tagged(told["id"]))
    expect(status(run_real, told["id"]), outcome="cancelled", exit_code=137, signal=signal.SIGKILL)


def test_a_killed_run_has_failed_and_its_tool_can_be_ended(
    run_real: RunReal, wait_until: WaitUntil, in_tool: tuple[dict[str, Any], psutil.Process]
) -> None:
    """SIGKILL gives pi no time to end its tool, which lives on in a session of its own."""
    told, sleeping = in_tool
    os.kill(told["pid"], signal.SIGKILL)
    wait_until(lambda: status(run_real, told["id"])["status"] == "error")
    after = status(run_real, told["id"])
    expect(after, outcome="failed", exit_code=137, signal=signal.SIGKILL, native_id=told["native_id"])
    assert after["reason"].startswith("killed by SIGKILL after")
    assert sleeping.is_running(), "the test's own premise"
    assert str(sleeping.pid) in run_real(["stop", told["id"]]).stderr, (
        "named, because nobody stopped its session"
    )
    run_real(["stop", "--force", told["id"]])
    wait_until(lambda: not tagged(told["id"]))
    assert not sleeping.is_running() or sleeping.status() == psutil.STATUS_ZOMBIE


def test_resume_keeps_the_conversation(run_real: RunReal, pi: Path, tmp_path: Path) -> None:
    (first,) = launch(run_real, tmp_path / "project", "--wait", model="mock/echo", prompt="One.").lines
    before = status(run_real, first)
    (tmp_path / "elsewhere").mkdir()
    words = ["resume", first, "Two.", "--wait"]
    second = run_real(words, cwd=tmp_path / "elsewhere", timeout=PATIENCE).lines[0]
    after = status(run_real, second)
    assert (before["result"], after["result"]) == ("user message 1: One.", "user message 2: Two.")
    expect(
        after,
        outcome="succeeded",
        native_id=before["native_id"],
        resumed_from=first,
        cwd=str(tmp_path / "project"),
        model="mock/echo",
        tokens=TOKENS,
        cost_usd=pytest.approx(COST),
        turns=1,
        transcript_path=before["transcript_path"],
    )
    third = resume(run_real, after["native_id"], "Three.", "--model", "mock/mock")
    expect(third, result=GREETING, model="mock/mock", resumed_from=second)
    said = run_real(["peek", third["id"]]).lines
    assert [line for line in said if line.strip("- ")] == [
        "user message 1: One.",
        "user message 2: Two.",
        GREETING,
    ]
    assert len(listed(run_real, "-a")) == 3


def test_a_run_that_left_no_file_cannot_be_resumed_in_silence(
    run_real: RunReal, wait_until: WaitUntil, pi: Path, tmp_path: Path
) -> None:
    """Stopped before the first answer: pi has told an id, and stored nothing under it."""
    (session,) = launch(run_real, tmp_path / "project", "--settle", "0s", model="mock/slow60").lines
    when_known(run_real, wait_until, session)
    run_real(["stop", session])
    assert not list(pi.rglob("*.jsonl"))
    refused = run_real(["resume", session, "Go on.", "--settle", "1m"], exit=1, timeout=PATIENCE)
    assert "No session found matching" in refused.stderr
    assert refused.stdout == ""


def test_two_at_once_keep_apart(run_real: RunReal, pi: Path, tmp_path: Path) -> None:
    """Their ids begin alike: both were made in the same minute."""
    sessions = [
        launch(run_real, tmp_path / name, "--settle", "0s", model="mock/echo", prompt=name).lines[0]
        for name in ("first", "second")
    ]
    run_real(["wait", *sessions], timeout=PATIENCE)
    told = [status(run_real, session) for session in sessions]
    assert [one["result"] for one in told] == ["user message 1: first", "user message 1: second"]
    assert [one["cwd"] for one in told] == [str(tmp_path / "first"), str(tmp_path / "second")]
    assert len({one["native_id"] for one in told}) == 2
    assert len({one["transcript_path"] for one in told}) == 2
    again = resume(run_real, sessions[1], "more")
    assert (again["result"], again["native_id"]) == ("user message 2: more", told[1]["native_id"])


@pytest.fixture
def outside(pi: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that a person has started, at work with its tool; ended with the test."""
    project = tmp_path / "project"
    project.mkdir()
    with open(tmp_path / "outside.log", "wb") as log:
        process = subprocess.Popen(
            ["pi", "-p", "--model", "mock/tool-bash-30", "Say hello."],
            cwd=project,
            env={**os.environ, "PWD": str(project)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield process
    process.kill()
    process.wait()


def test_a_run_from_outside_is_listed_stopped_and_resumed(
    run_real: RunReal, wait_until: WaitUntil, outside: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    before = time.time()
    (sleeping,) = wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    (found,) = wait_until(lambda: listed(run_real), PATIENCE)
    expect(
        found,
        source="external",
        adapter="pi",
        status="running",
        pid=outside.pid,
        cwd=str(tmp_path / "project"),
        prompt="Say hello.",
        model="mock/tool-bash-30",
        outcome=None,
        exit_code=None,
        fuse=None,
    )
    assert before - PATIENCE < instant(found["started_at"]) <= time.time()
    run_real(["stop", found["id"]])
    assert outside.wait(10) == 143
    wait_until(lambda: not sleeping.is_running() or sleeping.status() == psutil.STATUS_ZOMBIE)
    assert listed(run_real) == []
    (ended,) = listed(run_real, "-a")
    expect(ended, id=found["id"], status="stopped", outcome=None, pid=None, exit_code=None)
    told = resume(run_real, ended["id"], "And?", "--model", "mock/echo")
    expect(
        told,
        source="tracked",
        outcome="succeeded",
        native_id=found["native_id"],
        resumed_from=found["id"],
        result="user message 2: And?",
        cwd=str(tmp_path / "project"),
        tokens=TOKENS,
    )
    assert [one["id"] for one in listed(run_real, "-a")] == [told["id"]], "tracked now: listed once"
