"""The real codex at work, failing, stopped, resumed, and started by somebody else.

codex names its thread at once, and writes its verdict unless it is interrupted or killed.
Each test takes the second that codex needs, some the time of a slow model.
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
from tests.e2e.codex_env import codex_environment, project, refused
from tests.e2e.opencode_runs import (
    PATIENCE,
    Watch,
    events,
    listed,
    processes,
    status,
    tagged,
    tool,
    when_known,
)
from tests.fake_model import DONE, GREETING, FakeModel

pytestmark = pytest.mark.agents

BYPASS = "--dangerously-bypass-approvals-and-sandbox"

ONCE = {"input": 10, "output": 3, "cache_read": 4, "cache_write": 0}
"""What one answer of the fake model costs; codex counts what was cached as input, too."""


@pytest.fixture
def codex(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The real codex first in PATH, with no model but the fake one; where it keeps its data."""
    for name, value in codex_environment(tmp_path / "home", model.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "home" / ".codex"


def launch(
    run_real: RunReal,
    cwd: Path,
    *options: str,
    model: str = "mock",
    prompt: str = "Say hello.",
    exit: int | None = 0,  # noqa: A002
) -> Outcome:
    """`agentctl launch codex` in a git repository that is made if it is not there."""
    words = ["launch", "codex", "--cwd", str(project(cwd)), "--model", model, "-p", prompt, *options]
    return run_real(words, exit=exit, timeout=PATIENCE)


def test_a_run_that_succeeds(run_real: RunReal, codex: Path, tmp_path: Path) -> None:
    session = launch(run_real, tmp_path / "project", "--wait").lines[0]
    told = status(run_real, session)
    expected = {
        "status": "stopped",
        "outcome": "succeeded",
        "exit_code": 0,
        "result": GREETING,
        "model": "mock",
        "tokens": ONCE,
        "turns": 1,
        "cost_usd": None,
        "adapter_version": "0.171.0",
        "lingering": False,
        "unsupervised": False,
    }
    assert {key: told[key] for key in expected} == expected
    assert Path(told["transcript_path"]).is_relative_to(codex / "sessions")
    assert told["native_id"] in told["transcript_path"]
    assert run_real(["peek", session]).stdout.strip() == GREETING
    shown = run_real(["logs", session]).lines
    assert shown[-1] == GREETING
    assert not any("{" in line or "PATH aliases" in line for line in shown), shown
    assert [event["type"] for event in events(run_real, session)] == ["session.started", "session.stopped"]
    assert [one["id"] for one in listed(run_real, "-a")] == [session], "its own thread is not listed again"


def test_what_a_run_does_is_shown_while_it_is_at_work(
    run_real: RunReal, wait_until: WaitUntil, codex: Path, tmp_path: Path
) -> None:
    session = launch(run_real, tmp_path / "project", "--", BYPASS, model="tool-bash-8").lines[0]
    known = when_known(run_real, wait_until, session)
    wait_until(lambda: tool(8, tmp_path / "home"))
    wait_until(lambda: "[exec_command] sleep 8 → running" in run_real(["logs", session]).lines)
    assert psutil.Process(known["pid"]).name() == "codex", "the program itself, not its launcher"
    assert [(one["id"], one["pid"]) for one in listed(run_real)] == [(session, known["pid"])]
    run_real(["wait", session], timeout=PATIENCE)
    told = status(run_real, session)
    assert (told["outcome"], told["result"], told["turns"]) == ("succeeded", DONE, 2)
    assert told["tokens"] == {name: 2 * count for name, count in ONCE.items()}
    assert told["native_id"] == known["native_id"]
    assert run_real(["peek", session]).lines == ["Calling a tool", "---", DONE]


def test_what_the_sandbox_refuses_is_noted(
    run_real: RunReal, codex: Path, tmp_path: Path, sealed_home: Path
) -> None:
    """codex itself calls such a run a success. Its sandbox is read-only unless it is told otherwise."""
    session = launch(run_real, tmp_path / "project", "--wait", model="tool-write").lines[0]
    told = status(run_real, session)
    assert told["outcome"] == "succeeded"
    assert not (tmp_path / "project" / "hello.txt").exists()
    assert any(note.startswith("the sandbox refused a command") for note in told["notes"]), told["notes"]
    run_real("config set adapters.codex.sandbox danger-full-access")
    session = launch(run_real, tmp_path / "project", "--wait", model="tool-write").lines[0]
    assert (tmp_path / "project" / "hello.txt").read_text() == "hi\n"
    assert not any("sandbox" in note for note in status(run_real, session)["notes"])


FAILURES = [
    ("http401", (), "the fake model says 401"),
    ("http500", (), "experiencing high demand"),
    ("mock", refused(), "error sending request"),
]


@pytest.mark.parametrize(("name", "words", "said"), FAILURES, ids=["401", "500", "refused"])
def test_a_failure_is_told_in_one_line(
    run_real: RunReal, codex: Path, tmp_path: Path, name: str, words: tuple[str, ...], said: str
) -> None:
    launched = launch(run_real, tmp_path / "project", "--settle", "1m", "--", *words, model=name, exit=1)
    assert launched.stdout == ""
    assert said in launched.stderr.splitlines()[0]
    (told,) = listed(run_real, "-a")
    assert (told["status"], told["outcome"], told["exit_code"]) == ("error", "failed", 1)
    assert said in told["reason"] and said in told["result"]
    assert len(told["result"].splitlines()) == 1 and "{" not in told["result"]
    assert told["native_id"] and told["turns"] is None and told["tokens"]["input"] is None
    if name.startswith("http"):
        assert any(note.startswith("the model's server failed once") for note in told["notes"])


def test_outside_a_git_repository_codex_says_why_it_ends(
    run_real: RunReal, codex: Path, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    words = ["launch", "codex", "--cwd", str(tmp_path / "plain"), "-p", "Hi"]
    failed = run_real([*words, "--settle", "1m"], exit=1)
    assert "Not inside a trusted directory and --skip-git-repo-check was not specified" in failed.stderr
    (told,) = listed(run_real, "-a")
    assert (told["outcome"], told["native_id"]) == ("failed", None)
    assert "Not inside a trusted directory" in told["reason"]
    run_real([*words, "--wait", "--", "--skip-git-repo-check"], timeout=PATIENCE)


def test_a_run_that_waits_for_the_network_is_running_until_it_is_stopped(
    run_real: RunReal, wait_until: WaitUntil, codex: Path, tmp_path: Path
) -> None:
    """By itself codex would wait for ever, as its own default has it."""
    words = ("--enable", "unbounded_connection_retries", *refused())
    session = launch(run_real, tmp_path / "project", "--", *words).lines[0]
    log = Path(when_known(run_real, wait_until, session)["log_path"])
    wait_until(lambda: "waiting for network" in log.read_text(), PATIENCE)
    told = status(run_real, session)
    assert told["status"] == "running"
    run_real(["stop", session])
    told = status(run_real, session)
    assert (told["status"], told["outcome"]) == ("stopped", "cancelled")
    assert any(note.startswith("the model's server failed") for note in told["notes"]), told["notes"]


@pytest.mark.parametrize("has_launcher", [False, True], ids=["the program", "its launcher"])
def test_stop_leaves_nothing_behind(
    run_real: RunReal,
    wait_until: WaitUntil,
    agents: Path,
    codex: Path,
    tmp_path: Path,
    has_launcher: bool,
) -> None:
    """Tools are in sessions of their own. A launcher passes INT on to the program."""
    if has_launcher:
        run_real(["config", "set", "adapters.codex.command", str(agents / "bin" / "codex")])
    session = launch(run_real, tmp_path / "project", "--", BYPASS, model="tool-bash-30").lines[0]
    (sleeping,) = wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    told = status(run_real, session)
    assert os.getsid(sleeping.pid) != os.getsid(told["pid"])
    before = tagged(session)
    assert {told["pid"], sleeping.pid} < set(before)
    run_real(["stop", session])
    wait_until(lambda: not tagged(session))
    assert not list(processes(lambda process: process.pid in before))
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["exit_code"]) == ("stopped", "cancelled", 1)
    assert told["result"] == "the turn was interrupted", "INT comes first, and codex records it"


def test_stop_by_force_leaves_nothing_behind_either(
    run_real: RunReal, wait_until: WaitUntil, agents: Path, codex: Path, tmp_path: Path
) -> None:
    """A launcher that is killed leaves the program at work, and the program its tools."""
    run_real(["config", "set", "adapters.codex.command", str(agents / "bin" / "codex")])
    session = launch(run_real, tmp_path / "project", "--", BYPASS, model="tool-bash-30").lines[0]
    wait_until(lambda: tool(30, tmp_path / "home"), PATIENCE)
    before = tagged(session)
    run_real(["stop", "--force", session])
    wait_until(lambda: not tagged(session))
    assert not list(processes(lambda process: process.pid in before))
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"], told["signal"]) == ("cancelled", 137, signal.SIGKILL)


def test_a_killed_codex_has_failed_and_can_be_resumed(
    run_real: RunReal, wait_until: WaitUntil, codex: Path, tmp_path: Path
) -> None:
    session = launch(run_real, tmp_path / "project", "--no-fuse", model="slow60").lines[0]
    known = when_known(run_real, wait_until, session)
    seen = Watch(known["pid"])
    seen.process.kill()
    wait_until(lambda: seen.ended is not None)
    assert status(run_real, session)["status"] in ("stopping", "error"), "never running once it is dead"
    wait_until(lambda: status(run_real, session)["status"] == "error")
    told = status(run_real, session)
    assert (told["outcome"], told["exit_code"], told["signal"]) == ("failed", 137, signal.SIGKILL)
    assert told["reason"].startswith("killed by SIGKILL after")
    resumed = run_real(["resume", session, "Go on.", "--model", "echo", "--wait"], timeout=PATIENCE)
    after = status(run_real, resumed.lines[0])
    assert (after["outcome"], after["native_id"]) == ("succeeded", known["native_id"])
    assert after["result"] == "user message 2: Go on."


def test_resume_keeps_the_conversation(run_real: RunReal, codex: Path, tmp_path: Path) -> None:
    first = launch(run_real, tmp_path / "project", "--wait", model="echo", prompt="One.").lines[0]
    second = run_real(["resume", first, "Two.", "--wait"], timeout=PATIENCE).lines[0]
    before, after = status(run_real, first), status(run_real, second)
    assert (before["result"], after["result"]) == ("user message 1: One.", "user message 2: Two.")
    assert after["native_id"] == before["native_id"]
    assert (after["resumed_from"], after["model"]) == (first, "echo"), "codex itself would not keep it"
    assert after["tokens"] == before["tokens"] == ONCE, "codex's own totals are of the whole conversation"
    assert (after["turns"], after["cwd"]) == (1, str(tmp_path / "project"))
    by_native_id = run_real(["resume", after["native_id"], "Three.", "--wait"], timeout=PATIENCE).lines[0]
    told = status(run_real, by_native_id)
    assert (told["result"], told["resumed_from"]) == ("user message 3: Three.", second)
    said = run_real(["peek", by_native_id]).stdout
    assert [said.count(f"user message {n}") for n in (1, 2, 3)] == [1, 1, 1]


def test_a_conversation_that_codex_has_lost_is_not_begun_anew(
    run_real: RunReal, codex: Path, tmp_path: Path
) -> None:
    session = launch(run_real, tmp_path / "project", "--wait").lines[0]
    Path(status(run_real, session)["transcript_path"]).unlink()
    failed = run_real(["resume", session, "Two.", "--settle", "1m"], exit=1)
    assert "no rollout found for thread id" in failed.stderr


def test_two_at_once_do_not_mix(run_real: RunReal, codex: Path, tmp_path: Path) -> None:
    prompts = {"left": "turn left", "right": "turn right"}
    with ThreadPoolExecutor() as pool:
        waiting = {
            name: pool.submit(launch, run_real, tmp_path / name, "--wait", model="echo", prompt=prompt)
            for name, prompt in prompts.items()
        }
    told = {name: status(run_real, launched.result().lines[0]) for name, launched in waiting.items()}
    for name, prompt in prompts.items():
        assert (told[name]["outcome"], told[name]["result"]) == ("succeeded", f"user message 1: {prompt}")
        assert (told[name]["cwd"], told[name]["tokens"]) == (str(tmp_path / name), ONCE)
    assert told["left"]["native_id"] != told["right"]["native_id"]


def test_a_prompt_of_codexs_longest_arrives(
    run_real: RunReal, codex: Path, model: FakeModel, tmp_path: Path
) -> None:
    words = ["launch", "codex", "--cwd", str(project(tmp_path / "project")), "--wait", "-"]
    longest = "--help é\n" + "x" * (1_048_576 - 9)
    run_real([*words], input=longest, timeout=PATIENCE)
    texts = [
        part["text"]
        for item in model.requests[0].body["input"]
        if item.get("role") == "user"
        for part in item["content"]
    ]
    assert longest in texts
    refused_one = run_real(words, input=longest + "x", exit=2)
    assert "1,048,577 characters" in refused_one.stderr


@pytest.fixture
def outside(codex: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs that the test starts by itself; ended with it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()  # not kill: a launcher passes this on to the program
        process.wait()


def start_outside(cwd: Path, model: str, *words: str) -> subprocess.Popen[bytes]:
    """`codex exec` as a person would start it: through its launcher."""
    with open(project(cwd).with_suffix(".log"), "wb") as log:
        return subprocess.Popen(
            ["codex", "exec", "-m", model, *words, "Say hello."],
            cwd=cwd,
            env={**os.environ, "PWD": str(cwd)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def external(run_real: RunReal, wait_until: WaitUntil) -> dict[str, Any]:
    """The one external session, once its prompt is known; running from its first appearance on."""
    statuses: list[str] = []

    def look() -> dict[str, Any] | bool:
        found = [one for one in listed(run_real) if one["source"] == "external"]
        assert len(found) <= 1, found
        statuses.extend(one["status"] for one in found)
        return found[0] if found and found[0]["model"] and found[0]["prompt"] else False

    found: dict[str, Any] = wait_until(look, PATIENCE)
    assert set(statuses) == {"running"}
    return found


def test_a_run_from_outside_is_listed_with_its_writer_and_later_as_ended(
    run_real: RunReal,
    wait_until: WaitUntil,
    codex: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    process = start_outside(tmp_path / "project", "slow5")
    outside.append(process)
    found = external(run_real, wait_until)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
    (writer,) = [one.pid for one in family if one.name() == "codex"]
    expected = {
        "status": "running",
        "adapter": "codex",
        "pid": writer,
        "cwd": str(tmp_path / "project"),
        "model": "slow5",
        "prompt": "Say hello.",
        "outcome": None,
        "fuse": None,
    }
    assert {key: found[key] for key in expected} == expected
    assert process.wait(PATIENCE) == 0
    assert listed(run_real) == []
    (ended,) = listed(run_real, "-a")
    assert (ended["id"], ended["native_id"]) == (found["id"], found["native_id"])
    assert (ended["status"], ended["outcome"], ended["pid"]) == ("stopped", "succeeded", None)
    assert ended["exit_code"] is None, "nobody has seen its code"
    assert ended["tokens"] == ONCE
    assert run_real(["peek", ended["native_id"]]).stdout.strip() == GREETING

    resumed = run_real(["resume", ended["id"], "And?", "--model", "echo", "--wait"], timeout=PATIENCE)
    told = status(run_real, resumed.lines[0])
    assert (told["source"], told["outcome"]) == ("tracked", "succeeded")
    assert (told["native_id"], told["resumed_from"]) == (ended["native_id"], ended["id"])
    assert (told["result"], told["tokens"]) == ("user message 2: And?", ONCE)
    assert [one["id"] for one in listed(run_real, "-a")] == [told["id"]], "tracked now: listed once"


def test_stop_of_a_run_from_outside_ends_that_process_alone(
    run_real: RunReal,
    wait_until: WaitUntil,
    codex: Path,
    outside: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    tracked = launch(run_real, tmp_path / "tracked", model="slow60").lines[0]
    process = start_outside(tmp_path / "project", "slow60")
    outside.append(process)
    found = external(run_real, wait_until)
    assert {one["id"] for one in listed(run_real)} == {tracked, found["id"]}
    run_real(["stop", found["id"]])
    assert process.wait(10) == 1, "INT, which codex records, before anything else"
    assert not psutil.pid_exists(found["pid"])
    told = status(run_real, found["id"])
    assert (told["pid"], told["outcome"] == "succeeded") == (None, False)
    assert [one["id"] for one in listed(run_real)] == [tracked]
    assert status(run_real, tracked)["status"] == "running"
    run_real(["stop", tracked])


@pytest.fixture
def server(codex: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`codex app-server` as an editor starts it: one process for any number of threads."""
    process = subprocess.Popen(
        ["codex", "app-server"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.communicate()


def ask(server: subprocess.Popen[str], number: int, method: str, **parameters: Any) -> dict[str, Any]:
    """The answer to a request. What the server tells of its own accord is passed over."""
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps({"id": number, "method": method, "params": parameters}) + "\n")
    server.stdin.flush()
    answers = (json.loads(line) for line in server.stdout)
    found: dict[str, Any] = next(one["result"] for one in answers if one.get("id") == number)
    return found


def test_a_thread_of_a_server_is_running_and_nobody_ends_the_server(
    run_real: RunReal,
    wait_until: WaitUntil,
    codex: Path,
    server: subprocess.Popen[str],
    tmp_path: Path,
) -> None:
    """An editor's, or that of the terminal interface: it may be at work for others, too."""
    cwd = str(project(tmp_path / "project"))
    ask(server, 1, "initialize", clientInfo={"name": "test", "title": "test", "version": "0"})
    thread = ask(server, 2, "thread/start", cwd=cwd, model="slow60")["thread"]["id"]
    ask(server, 3, "turn/start", threadId=thread, input=[{"type": "text", "text": "Say hello."}])
    found = external(run_real, wait_until)
    expected = {"native_id": thread, "status": "running", "pid": None, "cwd": cwd}
    assert {key: found[key] for key in expected} == expected
    assert "serves other sessions, too" in found["reason"]
    refused_stop = run_real(["stop", found["id"]], exit=11)
    assert "no process is proved to be its own" in refused_stop.stderr
    assert server.poll() is None


def test_a_launch_of_another_user_of_the_store_is_listed_by_its_tag(
    run_real: RunReal, codex: Path, tmp_path: Path
) -> None:
    """With another state directory it is a thread like any other, and that says whose it is."""
    session = launch(run_real, tmp_path / "project", "--wait").lines[0]
    words = ["list", "--json", "-a"]
    (found,) = run_real(words, env={"AGENTCTL_HOME": str(tmp_path / "other")}).json()["sessions"]
    assert (found["source"], found["prompt"]) == ("external", f"agentctl {session}")
