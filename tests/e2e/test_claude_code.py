"""The real claude, driven by agentctl's command line against the fake model.

Each test takes the second or two that claude needs to start and to end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Outcome, RunReal, WaitUntil
from tests.e2e.claude_env import FOREIGN, TOKEN, claude_environment
from tests.e2e.opencode_runs import PATIENCE, listed, processes, status, tagged
from tests.fake_model import DONE, GREETING, FakeModel

pytestmark = pytest.mark.agents

ONE_CALL = {"input": 10, "output": 3, "cache_read": 1, "cache_write": 2}
TWO_CALLS = {name: 2 * count for name, count in ONE_CALL.items()}


@pytest.fixture
def claude(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The real claude first in PATH, with no model but the fake one; its directory of projects."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    for name, value in claude_environment(tmp_path / "home", model.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "home" / ".claude" / "projects"


def launch(
    run_real: RunReal,
    cwd: Path,
    *options: str,
    model: str = "mock",
    prompt: str = "Say hello.",
    exit: int | None = 0,  # noqa: A002
) -> Outcome:
    """`agentctl launch claude-code` in a directory that is made if it is not there."""
    cwd.mkdir(exist_ok=True)
    words = ["launch", "claude-code", "--cwd", str(cwd), "--model", model, "-p", prompt, *options]
    return run_real(words, exit=exit, timeout=3 * PATIENCE)


def said(run_real: RunReal, session: str) -> list[str]:
    """What the agent said, as `peek` shows it."""
    return [line for line in run_real(["peek", session]).lines if line != "---"]


def tool(seconds: int, home: Path) -> list[psutil.Process]:
    """What model tool-bash-<seconds> made a claude below `home` run."""
    wanted = f"import time; time.sleep({seconds})"
    return list(processes(lambda p: p.cmdline()[-1:] == [wanted] and p.environ().get("HOME") == str(home)))


def test_a_run_that_succeeds(run_real: RunReal, claude: Path, model: FakeModel, tmp_path: Path) -> None:
    (session,) = launch(run_real, tmp_path / "project", "--wait", model="echo", prompt="-n is what?").lines
    told = status(run_real, session)
    expected = {
        "adapter": "claude-code",
        "status": "stopped",
        "outcome": "succeeded",
        "exit_code": 0,
        "native_id": session,
        "cwd": str(tmp_path / "project"),
        "model": "echo",
        "prompt": "-n is what?",
        "result": "user message 1: -n is what?",
        "tokens": ONE_CALL,
        "turns": 1,
        "notes": [],
        "adapter_version": "2.1.332",
    }
    assert {key: told[key] for key in expected} == expected
    assert told["cost_usd"] > 0
    assert Path(told["transcript_path"]).name == f"{session}.jsonl"
    assert Path(told["transcript_path"]).is_relative_to(claude)
    assert run_real(["peek", session]).stdout.strip() == "user message 1: -n is what?"
    log = run_real(["logs", session]).lines
    assert "user message 1: -n is what?" in log and not any(line.startswith("{") for line in log)
    assert {request.headers["Authorization"] for request in model.requests} == {f"Bearer {TOKEN}"}
    assert listed(run_real) == []
    assert [one["id"] for one in listed(run_real, "-a")] == [session], "tracked: not found once more"


def test_a_long_prompt_arrives_as_it_was_given(
    run_real: RunReal, claude: Path, model: FakeModel, tmp_path: Path
) -> None:
    prompt = "--line of a long prompt, ünïcode\n" * 6250
    words = ["launch", "claude-code", "--cwd", str(tmp_path), "--model", "mock", "--wait", "-"]
    run_real(words, input=prompt, timeout=PATIENCE)
    (request,) = model.requests
    texts = [block["text"] for block in request.body["messages"][0]["content"]]
    assert any(text.strip() == prompt.strip() for text in texts)


def test_a_tool_writes_what_it_may(run_real: RunReal, claude: Path, tmp_path: Path) -> None:
    run_real(["config", "set", "adapters.claude-code.permission_mode", "acceptEdits"])
    (session,) = launch(run_real, tmp_path / "project", "--wait", model="tool-write").lines
    told = status(run_real, session)
    assert (tmp_path / "project" / "hello.txt").read_text() == "hi\n"
    assert (told["outcome"], told["result"], told["notes"]) == ("succeeded", DONE, [])
    assert (told["turns"], told["tokens"]) == (2, TWO_CALLS)
    assert "[Write] hello.txt" in run_real(["logs", session]).lines
    assert said(run_real, session) == ["Calling a tool", DONE]


def test_a_denied_tool_is_told(run_real: RunReal, claude: Path, tmp_path: Path) -> None:
    """claude itself takes such a run for a success, and exits 0."""
    (session,) = launch(run_real, tmp_path / "project", "--wait", model="tool-write").lines
    told = status(run_real, session)
    assert not (tmp_path / "project" / "hello.txt").exists()
    assert (told["outcome"], told["exit_code"]) == ("succeeded", 0)
    assert told["notes"] == [f"permission denied: Write {tmp_path / 'project' / 'hello.txt'}"]
    assert any(line.startswith("[Write] failed: ") for line in run_real(["logs", session]).lines)


@pytest.mark.parametrize(
    ("model_name", "environ", "words"),
    [
        ("http401", {}, "401 the fake model says 401"),
        ("http500", {}, "500 the fake model says 500"),
        ("mock", {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}, "ECONNREFUSED"),
    ],
    ids=["401", "500", "refused"],
)
def test_a_failure_is_told_in_claudes_words(
    run_real: RunReal,
    claude: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_name: str,
    environ: dict[str, str],
    words: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    failed = launch(run_real, tmp_path / "project", "--settle", "1m", model=model_name, exit=1)
    assert failed.stdout == "" and words in failed.stderr.splitlines()[0]
    (told,) = listed(run_real, "-a")
    assert (told["status"], told["outcome"], told["exit_code"]) == ("error", "failed", 1)
    assert words in told["reason"] and words in told["result"]
    assert len(told["reason"].splitlines()) == 1
    assert sum(line.startswith("error: ") for line in run_real(["logs", told["id"]]).lines) == 1


def test_retries_become_a_note(
    run_real: RunReal, claude: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "1")
    launch(run_real, tmp_path / "project", "--settle", "1m", model="http500", exit=1)
    (told,) = listed(run_real, "-a")
    assert told["notes"] == ["the model's server failed once: 500 server_error"]
    log = run_real(["logs", told["id"]]).lines
    assert any(
        line.startswith("the model's server failed: 500 server_error, retry 1 of 1 in") for line in log
    )


def test_a_word_that_claude_does_not_know_is_its_complaint(
    run_real: RunReal, claude: Path, tmp_path: Path
) -> None:
    launch(run_real, tmp_path / "project", "--settle", "1m", "--", "--no-such-option", exit=1)
    (told,) = listed(run_real, "-a")
    assert (told["outcome"], told["exit_code"]) == ("failed", 1)
    assert "unknown option '--no-such-option'" in told["reason"]


def test_stop_leaves_no_tool_behind(
    run_real: RunReal, wait_until: WaitUntil, claude: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    words = ["--", "--allowedTools", "Bash"]
    (session,) = launch(run_real, tmp_path / "project", *words, model="tool-bash-30").lines
    (sleeping,) = wait_until(lambda: tool(30, home), PATIENCE)
    told = status(run_real, session)
    assert (told["status"], told["native_id"]) == ("running", session)
    assert os.getsid(sleeping.pid) != os.getsid(told["pid"])
    before = tagged(session)
    assert {told["pid"], sleeping.pid} < set(before)
    run_real(["stop", session])
    wait_until(lambda: not tagged(session))
    assert not tool(30, home)
    assert not list(processes(lambda process: process.pid in before))
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["exit_code"]) == ("stopped", "cancelled", 143)
    assert told["tokens"] == ONE_CALL, "of the transcript: the log has no totals"


def test_a_killed_claude_has_failed_and_can_be_resumed(
    run_real: RunReal, wait_until: WaitUntil, claude: Path, model: FakeModel, tmp_path: Path
) -> None:
    (session,) = launch(run_real, tmp_path / "project", model="slow60", prompt="One.").lines
    wait_until(lambda: model.requests, PATIENCE)
    pid = status(run_real, session)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: status(run_real, session)["status"] == "error", PATIENCE)
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"], told["signal"]) == ("failed", 137, signal.SIGKILL)
    assert told["reason"].startswith("killed by SIGKILL after")
    stale = claude.parent / "sessions" / f"{pid}.json"
    assert json.loads(stale.read_text())["sessionId"] == session, "claude's own registry has it still"
    assert listed(run_real) == []
    words = ["resume", session, "Two.", "--model", "echo", "--wait"]
    after = status(run_real, run_real(words, timeout=PATIENCE).lines[0])
    assert (after["outcome"], after["native_id"]) == ("succeeded", session)
    assert (after["result"], after["tokens"]) == ("user message 2: Two.", ONE_CALL)


def test_resume_keeps_the_conversation_and_counts_its_own_run(
    run_real: RunReal, claude: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    first = launch(run_real, project, "--wait", model="echo", prompt="One.").lines[0]
    (tmp_path / "elsewhere").mkdir()
    words = ["resume", first, "Two.", "--wait"]
    second = run_real(words, cwd=tmp_path / "elsewhere", timeout=PATIENCE).lines[0]
    before, after = status(run_real, first), status(run_real, second)
    assert (before["result"], after["result"]) == ("user message 1: One.", "user message 2: Two.")
    assert (after["native_id"], after["resumed_from"]) == (first, first)
    assert second != first
    assert (after["cwd"], after["model"], after["prompt"]) == (str(project), "echo", "Two.")
    # claude's own totals are of the whole conversation by now.
    assert before["tokens"] == after["tokens"] == ONE_CALL
    assert after["cost_usd"] == pytest.approx(before["cost_usd"]) and before["cost_usd"] > 0
    assert (before["turns"], after["turns"]) == (1, 1)
    assert said(run_real, second) == ["user message 1: One.", "user message 2: Two."]
    assert len(listed(run_real, "-a")) == 2


def test_two_at_once_do_not_mix(run_real: RunReal, claude: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = {
            side: pool.submit(
                launch, run_real, tmp_path / side, "--wait", model="echo", prompt=f"turn {side}"
            )
            for side in ("left", "right")
        }
    for side, launched in waiting.items():
        told = status(run_real, launched.result().lines[0])
        assert (told["outcome"], told["result"]) == ("succeeded", f"user message 1: turn {side}")
        assert (told["cwd"], told["native_id"]) == (str(tmp_path / side), told["id"])


@pytest.mark.parametrize(
    ("given", "keys", "bearers", "notes"),
    [
        ({"AGENTCTL_CLAUDE_USE_API_KEY": "0"}, {None}, {f"Bearer {TOKEN}"}, 1),
        ({"AGENTCTL_CLAUDE_USE_API_KEY": "1"}, {"a-stray-key"}, {None}, 0),
    ],
    ids=["removed", "kept"],
)
def test_a_stray_api_key_is_billed_only_on_request(
    run_real: RunReal,
    claude: Path,
    model: FakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    keys: set[str | None],
    bearers: set[str | None],
    notes: int,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-stray-key")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    place = f"ANTHROPIC_BASE_URL={model.url}"
    (session,) = launch(run_real, tmp_path / "project", "--wait", "--env", place).lines
    headers = [{name.lower(): value for name, value in one.headers.items()} for one in model.requests]
    assert {one.get("x-api-key") for one in headers} == keys
    assert {one.get("authorization") for one in headers} == bearers
    told = status(run_real, session)
    assert told["outcome"] == "succeeded"
    assert len(told["notes"]) == notes
    assert all(
        "ANTHROPIC_API_KEY" in note and "AGENTCTL_CLAUDE_USE_API_KEY" in note for note in told["notes"]
    )


def test_a_key_given_by_name_is_billed(
    run_real: RunReal, claude: Path, model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-stray-key")
    monkeypatch.setenv("AGENTCTL_CLAUDE_USE_API_KEY", "0")
    given = ("--env", "ANTHROPIC_API_KEY=a-given-key", "--env", f"ANTHROPIC_BASE_URL={model.url}")
    (session,) = launch(run_real, tmp_path / "project", "--wait", *given).lines
    assert status(run_real, session)["notes"] == []
    headers = [{name.lower(): value for name, value in one.headers.items()} for one in model.requests]
    assert {one.get("x-api-key") for one in headers} == {"a-given-key"}


def test_what_a_claude_tells_its_tools_is_not_passed_on(
    run_real: RunReal, wait_until: WaitUntil, claude: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one agent launches another."""
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("CLAUDE_CODE_MESSAGING_TOKEN", "secret of the parent")
    (session,) = launch(run_real, tmp_path / "project", model="slow60").lines
    environ = psutil.Process(status(run_real, session)["pid"]).environ()
    assert not {"CLAUDECODE", "CLAUDE_CODE_MESSAGING_TOKEN"} & set(environ)
    assert environ["CLAUDE_CODE_OAUTH_TOKEN"] == TOKEN
    run_real(["stop", session])


@pytest.fixture
def outside(claude: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs that the test starts by itself; ended with it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def start_outside(project: Path, model: str, *words: str) -> subprocess.Popen[bytes]:
    """`claude -p` as a person would start it."""
    project.mkdir(exist_ok=True)
    with open(project.with_suffix(".log"), "wb") as log:
        return subprocess.Popen(
            ["claude", "-p", "Say hello.", "--model", model, *words],
            cwd=project,
            env={**os.environ, "PWD": str(project)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def external(run_real: RunReal, wait_until: WaitUntil) -> dict[str, Any]:
    def look() -> dict[str, Any] | bool:
        found = [one for one in listed(run_real) if one["source"] == "external"]
        assert len(found) <= 1, found
        return found[0] if found else False

    found: dict[str, Any] = wait_until(look, PATIENCE)
    return found


def test_a_run_from_outside_is_listed_with_its_process_and_can_be_resumed(
    run_real: RunReal,
    wait_until: WaitUntil,
    claude: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    process = start_outside(project, "slow4")
    outside.append(process)
    found = external(run_real, wait_until)
    expected = {
        "adapter": "claude-code",
        "source": "external",
        "status": "running",
        "pid": process.pid,
        "cwd": str(project),
        "prompt": "Say hello.",
        "outcome": None,
        "exit_code": None,
    }
    assert {key: found[key] for key in expected} == expected
    assert process.wait(PATIENCE) == 0
    assert listed(run_real) == []
    (ended,) = listed(run_real, "-a")
    assert (ended["id"], ended["native_id"]) == (found["id"], found["native_id"])
    assert (ended["status"], ended["outcome"], ended["pid"]) == ("stopped", "succeeded", None)
    assert (ended["model"], ended["tokens"], ended["adapter_version"]) == ("slow4", ONE_CALL, "2.1.332")
    assert said(run_real, ended["id"]) == [GREETING]

    words = ["resume", ended["id"], "And?", "--model", "echo", "--wait"]
    told = status(run_real, run_real(words, timeout=PATIENCE).lines[0])
    assert (told["source"], told["outcome"], told["resumed_from"]) == ("tracked", "succeeded", ended["id"])
    assert (told["native_id"], told["cwd"]) == (ended["native_id"], str(project))
    assert (told["result"], told["tokens"]) == ("user message 2: And?", ONE_CALL)
    assert [one["id"] for one in listed(run_real, "-a")] == [told["id"]], "tracked now: listed once"


def test_a_conversation_that_waits_for_its_person_is_idle(
    run_real: RunReal,
    wait_until: WaitUntil,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """Its turn is finished, and its process lives until its input ends."""
    words = ["--verbose", "--input-format", "stream-json", "--output-format", "stream-json"]
    process = subprocess.Popen(
        ["claude", "-p", "--model", "mock", *words],
        cwd=tmp_path,
        env={**os.environ, "PWD": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    outside.append(process)
    assert process.stdin is not None
    message = {"type": "user", "message": {"role": "user", "content": "Say hello."}}
    with process.stdin as its_input:
        its_input.write(json.dumps(message).encode() + b"\n")
        its_input.flush()
        found = wait_until(lambda: [one for one in listed(run_real) if one["status"] == "idle"], PATIENCE)
        assert [(one["pid"], one["result"]) for one in found] == [(process.pid, GREETING)]
    assert process.wait(PATIENCE) == 0
    assert [one["status"] for one in listed(run_real, "-a")] == ["stopped"]


def test_stop_of_a_run_from_outside_ends_that_process_alone(
    run_real: RunReal,
    wait_until: WaitUntil,
    claude: Path,
    outside: list[subprocess.Popen[bytes]],
    model: FakeModel,
    tmp_path: Path,
) -> None:
    """Two of one directory: the registry tells which is which."""
    stays, goes = (start_outside(tmp_path / "project", "slow60") for _ in range(2))
    outside += [stays, goes]

    def both() -> dict[int, dict[str, Any]]:
        found = {one["pid"]: one for one in listed(run_real)}
        assert set(found) == {stays.pid, goes.pid}
        assert {one["status"] for one in found.values()} == {"running"}
        return found

    found = wait_until(both, PATIENCE)
    run_real(["stop", found[goes.pid]["id"]])
    assert goes.wait(10) == 143
    assert stays.poll() is None
    told = status(run_real, found[stays.pid]["id"])
    assert (told["status"], told["pid"]) == ("running", stays.pid)


def test_a_killed_run_from_outside_is_not_alive_for_its_registry_file(
    run_real: RunReal,
    wait_until: WaitUntil,
    claude: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    process = start_outside(tmp_path / "project", "slow60")
    outside.append(process)
    found = external(run_real, wait_until)
    process.kill()
    process.wait()
    assert (claude.parent / "sessions" / f"{process.pid}.json").exists()
    told = status(run_real, found["id"])
    assert (told["status"], told["outcome"], told["pid"]) == ("stopped", None, None)
    assert "unfinished" in told["reason"]
