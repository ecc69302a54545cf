"""ACP sessions from launch to end: the real opencode, and a fake agent where any will do."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.ids import external_id
from tests.conftest import Outcome, RunReal, WaitUntil
from tests.e2e.opencode_runs import PATIENCE, events, listed, status, tagged, tool, when_known
from tests.fake_model import DONE, GREETING, FakeModel

real = pytest.mark.agents

OPENCODE = ("opencode", "acp")
FAKE = (sys.executable, str(Path(__file__).parent.parent / "fake_acp_agent.py"))


def launch(
    run_real: RunReal,
    cwd: Path,
    *options: str,
    model: str | None = "mock/mock",
    prompt: str = "Say hello.",
    words: tuple[str, ...] = OPENCODE,
    exit: int | None = 0,  # noqa: A002
) -> Outcome:
    """`agentctl launch acp` in a directory that is made if it is not there."""
    cwd.mkdir(exist_ok=True)
    chosen = ["--model", model] if model else []
    command = ["launch", "acp", "--cwd", str(cwd), *chosen, "-p", prompt, *options, "--", *words]
    return run_real(command, exit=exit, timeout=3 * PATIENCE)


def configure(sealed_home: Path, text: str) -> None:
    sealed_home.mkdir(exist_ok=True)
    (sealed_home / "config.toml").write_text(f"[adapters.acp]\n{text}")


def led(told: dict[str, Any]) -> psutil.Process:
    """The agent that a session's runner leads."""
    (agent,) = psutil.Process(told["pid"]).children()
    return agent


def nothing_is_left(wait_until: WaitUntil, session: str) -> None:
    """Of agent, runner, shim and tools; each carries the session's id."""
    wait_until(lambda: not tagged(session), PATIENCE)


@real
def test_it_is_listed_once(run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path) -> None:
    """opencode keeps the session in its own store, too, where its own adapter finds it."""
    (session,) = launch(run_real, tmp_path / "project", model="mock/slow60").lines
    known = when_known(run_real, wait_until, session)
    for options in ([], ["-a"], ["--adapter", "opencode", "-a"]):
        found = [one["id"] for one in listed(run_real, *options) if one["native_id"] == known["native_id"]]
        assert found == ([] if "--adapter" in options else [session]), options
    hidden = external_id("opencode", str(opencode / "opencode.db"), known["native_id"])
    assert status(run_real, hidden)["id"] == session
    run_real(["stop", session])
    found = [one for one in listed(run_real, "-a") if one["native_id"] == known["native_id"]]
    assert [(one["id"], one["adapter"]) for one in found] == [(session, "acp")]


@real
@pytest.mark.parametrize("policy", ["allow", "deny"])
def test_a_tool_that_asks(
    run_real: RunReal,
    opencode: Path,
    sealed_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    """By a named agent, which is the default here. Without a word in the configuration all is denied."""
    named = 'agent = "oc"\n[adapters.acp.agents]\noc = ["opencode", "acp"]\n'
    configure(sealed_home, ('permissions = "allow"\n' if policy == "allow" else "") + named)
    monkeypatch.setenv("OPENCODE_PERMISSION", json.dumps({"bash": "ask"}))
    code = 0 if policy == "allow" else 1
    launched = launch(run_real, tmp_path / "project", "--wait", model="mock/tool-bash-2", words=(), exit=code)
    (session,) = launched.lines
    told, shown = status(run_real, session), run_real(["logs", session]).stdout
    if policy == "allow":
        assert (told["outcome"], told["result"], told["notes"]) == ("succeeded", DONE, [])
        assert "permission for sleep 2: allowed" in shown and "[execute] sleep 2 → (no output)" in shown
    else:
        assert (told["outcome"], told["exit_code"]) == ("failed", 1)
        assert told["result"] == "the agent stopped early: permission for sleep 2 was denied"
        assert told["notes"] == ["permission for sleep 2 was denied"]
        assert "[execute] sleep 2 → failed: The user rejected permission" in shown


@real
@pytest.mark.parametrize(
    ("name", "words"),
    [("mock/http401", "the fake model says 401"), ("mock/nosuch", "model not found: mock/nosuch")],
    ids=["401", "no such model"],
)
def test_an_early_failure(
    run_real: RunReal, opencode: Path, model: FakeModel, tmp_path: Path, name: str, words: str
) -> None:
    failed = launch(run_real, tmp_path / "project", "--settle", "1m", model=name, exit=1)
    assert failed.stdout == ""
    assert "exit 1" in failed.stderr.splitlines()[0] and words in failed.stderr.splitlines()[0]
    (told,) = [one for one in listed(run_real, "-a") if one["adapter"] == "acp"]
    assert (told["status"], told["outcome"], told["exit_code"]) == ("error", "failed", 1)
    assert words in told["result"]
    assert bool(model.requests) == (name == "mock/http401"), "no other model is asked in its place"


@real
def test_a_stop_in_the_middle_of_a_tool(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model="mock/tool-bash-30").lines
    wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    run_real(["stop", session])
    assert not tool(30, tmp_path / "home")
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["exit_code"]) == ("stopped", "cancelled", 143)
    assert "the turn ended: cancelled" in run_real(["logs", session]).stdout, (
        "in good order, at the agent's pace"
    )
    nothing_is_left(wait_until, session)


@real
def test_a_killed_runner_leaves_nothing_at_work(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model="mock/tool-bash-30").lines
    wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    told = status(run_real, session)
    agent = led(told)
    os.kill(told["pid"], signal.SIGKILL)
    wait_until(lambda: not agent.is_running())
    wait_until(lambda: not tool(30, tmp_path / "home"))
    run_real(["wait", session], exit=1)
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"], told["signal"]) == ("failed", 137, signal.SIGKILL)
    assert told["native_id"].startswith("ses_"), "it can be resumed"
    nothing_is_left(wait_until, session)


@real
def test_a_killed_agent_has_failed(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, model: FakeModel, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model="mock/slow60").lines
    wait_until(lambda: model.requests, PATIENCE)
    led(status(run_real, session)).kill()
    run_real(["wait", session], exit=1)
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"]) == ("failed", 1)
    assert told["result"] == "the agent was ended by SIGKILL before it answered session/prompt"
    nothing_is_left(wait_until, session)


@real
def test_a_conversation_goes_on(run_real: RunReal, opencode: Path, tmp_path: Path) -> None:
    (first,) = launch(
        run_real, tmp_path / "project", "--wait", model="mock/echo", prompt="Remember 42."
    ).lines
    words = ["resume", first, "What was it?", "--wait"]
    (second,) = run_real(words, timeout=2 * PATIENCE).lines
    before, told = status(run_real, first), status(run_real, second)
    assert (told["outcome"], told["result"]) == ("succeeded", "user message 2: What was it?")
    assert (told["native_id"], told["resumed_from"]) == (before["native_id"], first)
    assert told["model"] == "mock/echo", "the one that it used last"
    assert told["notes"] == []


def assert_told_well(run_real: RunReal, session: str) -> None:
    """All that there is to be told of a turn that went well."""
    told = status(run_real, session)
    expected = {
        "adapter": "acp",
        "status": "stopped",
        "outcome": "succeeded",
        "exit_code": 0,
        "signal": None,
        "result": GREETING,
        "model": "mock/mock",
        "tokens": {"input": 10, "output": 3, "cache_read": None, "cache_write": None},
        "notes": [],
        "adapter_version": "OpenCode 1.18.33",
    }
    assert {key: told[key] for key in expected} == expected
    assert told["native_id"].startswith("ses_")
    assert run_real(["peek", session]).stdout.strip() == GREETING
    shown = run_real(["logs", session]).lines
    assert shown == [f"OpenCode 1.18.33, session {told['native_id']}", "> Say hello.", GREETING]
    assert [event["type"] for event in events(run_real, session)] == ["session.started", "session.stopped"]


@real
def test_one_turn_and_then_two_at_once(
    run_real: RunReal, wait_until: WaitUntil, opencode: Path, tmp_path: Path
) -> None:
    """The first makes opencode's database; the others begin in the same second, and do not mix."""
    (first,) = launch(run_real, tmp_path / "first", "--wait").lines
    assert_told_well(run_real, first)
    nothing_is_left(wait_until, first)
    with ThreadPoolExecutor() as pool:
        running = {
            name: pool.submit(
                launch, run_real, tmp_path / name, "--settle", "10s", "--wait", model="mock/echo", prompt=name
            )
            for name in ("left", "right")
        }
    told = {name: status(run_real, launched.result().lines[0]) for name, launched in running.items()}
    for name, one in told.items():
        assert (one["outcome"], one["result"]) == ("succeeded", f"user message 1: {name}")
    assert told["left"]["native_id"] != told["right"]["native_id"]


# Any agent will do for the rest.


def test_a_missing_agent_is_told_before_anything_is_started(run_real: RunReal, tmp_path: Path) -> None:
    failed = launch(run_real, tmp_path / "project", model=None, words=("no-such-agent", "--acp"), exit=12)
    assert "no-such-agent" in failed.stderr
    assert listed(run_real, "-a") == []


def test_the_native_id_is_known_while_it_runs(
    run_real: RunReal, wait_until: WaitUntil, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model=None, words=(*FAKE, "hang")).lines
    wait_until(lambda: [one["native_id"] for one in listed(run_real)] == ["fake-session-1"])
    assert status(run_real, "fake-ses")["id"] == session, "it can be named by it"
    run_real(["stop", session])
    nothing_is_left(wait_until, session)


def test_a_silent_turn_is_a_failure(run_real: RunReal, tmp_path: Path) -> None:
    words = (*FAKE, "silent")
    failed = launch(run_real, tmp_path / "project", "--settle", "20s", model=None, words=words, exit=1)
    assert "ended its turn without saying anything or calling a tool" in failed.stderr.splitlines()[0]


def test_an_agent_that_nothing_moves_is_killed_with_all_it_started(
    run_real: RunReal, wait_until: WaitUntil, tmp_path: Path
) -> None:
    words = (*FAKE, "child", "deaf", "stubborn")
    (session,) = launch(run_real, tmp_path / "project", "--settle", "0s", model=None, words=words).lines
    log = Path(status(run_real, session)["log_path"])
    wait_until(lambda: '"text": "hang"' in log.read_text())
    run_real(["stop", "--timeout", "1s", session])
    assert status(run_real, session)["outcome"] == "cancelled"
    nothing_is_left(wait_until, session)


def test_a_fuse_ends_a_turn_that_has_no_end(run_real: RunReal, wait_until: WaitUntil, tmp_path: Path) -> None:
    words = (*FAKE, "hang")
    (session,) = launch(run_real, tmp_path / "project", "--fuse", "2s", model=None, words=words).lines
    run_real(["wait", session], exit=1)
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"], told["result"]) == ("timed_out", 143, "I hang")
    nothing_is_left(wait_until, session)
