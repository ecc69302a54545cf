"""demo: a real child at a quick pace, and what its log is read as."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from agentctl.adapters import demo, demo_agent, reading
from agentctl.adapters.base import CommandRequest
from agentctl.core.model import AgentVerdict, Session, Status, Tokens
from agentctl.errors import UsageFault

if TYPE_CHECKING:
    from tests.conftest import WaitUntil

PACE = "0.001"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Agent:
    """A demo agent as a real child, writing to a log."""

    child: subprocess.Popen[bytes]
    log: Path

    def records(self) -> list[dict[str, Any]]:
        """The records that are whole."""
        *whole, _ = self.log.read_text().split("\n")
        return [json.loads(line) for line in whole]

    def kinds(self) -> list[str]:
        return [record["type"] for record in self.records()]

    def has_said(self, kind: str, text: str = "") -> bool:
        return any(one["type"] == kind and text in one.get("text", "") for one in self.records())

    def exit(self) -> int:
        return self.child.wait(timeout=20)


class Start:
    """Starts agents, and ends those that a test leaves at work."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.agents: list[Agent] = []

    def __call__(self, prompt: str, *, model: str | None = None, pace: str = PACE) -> Agent:
        request = CommandRequest(session_id="s", cwd=str(self.directory), prompt=prompt, model=model)
        command = demo.launch_command(request)
        assert command.stdin == prompt
        given = self.directory / "prompt"
        given.write_text(prompt)
        log = self.directory / f"{len(self.agents)}.log"
        with given.open("rb") as stdin, log.open("ab") as output:
            child = subprocess.Popen(
                command.argv,
                stdin=stdin,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"AGENTCTL_DEMO_PACE": pace, "PATH": os.environ["PATH"]},
            )
        self.agents.append(Agent(child, log))
        return self.agents[-1]

    def end(self) -> None:
        for agent in self.agents:
            if agent.child.poll() is None:
                for process in psutil.Process(agent.child.pid).children(recursive=True):
                    process.kill()
                agent.child.kill()
            agent.child.wait(timeout=10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    starter = Start(tmp_path)
    yield starter
    starter.end()


def row(**changes: object) -> Session:
    given: dict[str, object] = {
        "id": "0f9a1b2c-0000-4000-8000-000000000000",
        "adapter": "demo",
        "cwd": "/",
        "status": Status.RUNNING,
        "created_at": NOW,
    }
    return Session(**(given | changes))  # type: ignore[arg-type]


def test_it_answers_and_reports(start: Start) -> None:
    agent = start("Make the tests pass")
    assert agent.exit() == 0
    assert agent.kinds() == ["start", "thinking", "text", "text", "text", "text", "usage"]
    said = [one["text"] for one in agent.records() if one["type"] in ("thinking", "text")]
    assert said[1] == "You gave me 4 words: Make the tests pass"
    result = demo.result(row(), str(agent.log))
    assert (result.verdict, result.text, result.model) == (AgentVerdict.OK, said[-1], "demo-1")
    assert result.tokens == Tokens(input=4, output=sum(len(text.split()) for text in said))
    assert (result.cost_usd, result.turns, result.native_id) == (0.0, 1, None)


def test_the_model_is_the_one_that_was_asked_for(start: Start) -> None:
    agent = start("Hello", model="demo-large")
    assert agent.exit() == 0
    assert demo.result(row(), str(agent.log)).model == "demo-large"


@pytest.mark.parametrize(("prompt", "code"), [("please FAIL now", 1), ("tell a lie", 0)])
def test_a_failure_is_reported_whatever_the_exit_code(start: Start, prompt: str, code: int) -> None:
    agent = start(prompt)
    assert agent.exit() == code
    assert agent.kinds()[-2:] == ["usage", "error"]
    result = demo.result(row(), str(agent.log))
    assert (result.verdict, result.text) == (AgentVerdict.ERROR, "the prompt asked for a failure")
    assert result.tokens.input == len(prompt.split())


def test_only_whole_words_are_orders(start: Start) -> None:
    agent = start("Fix the failing crashes, hanging toolbars and slowness of belief")
    assert agent.exit() == 0
    assert agent.kinds()[-1] == "usage"


def test_hang_waits_until_a_signal_ends_it(start: Start, wait_until: WaitUntil) -> None:
    agent = start("hang")
    wait_until(lambda: agent.has_said("text", "hang"))
    assert agent.child.poll() is None
    result = demo.result(row(), str(agent.log))
    assert (result.verdict, result.model) == (AgentVerdict.SILENT, "demo-1")
    assert result.tokens == Tokens()
    assert result.cost_usd is None
    agent.child.terminate()
    assert agent.exit() == -signal.SIGTERM


def test_hang_is_ended_by_an_interrupt_without_a_traceback(start: Start, wait_until: WaitUntil) -> None:
    agent = start("hang")
    wait_until(lambda: agent.has_said("text", "hang"))
    agent.child.send_signal(signal.SIGINT)
    assert agent.exit() == -signal.SIGINT
    assert "Traceback" not in agent.log.read_text()


def test_stubborn_ignores_all_but_kill(start: Start, wait_until: WaitUntil) -> None:
    agent = start("be stubborn")
    wait_until(lambda: agent.has_said("text", "ignore"))
    status = Path(f"/proc/{agent.child.pid}/status")
    agent.child.send_signal(signal.SIGTERM)
    agent.child.send_signal(signal.SIGINT)
    if status.exists():
        ignored = int(
            next(line for line in status.read_text().splitlines() if line.startswith("SigIgn")).split()[1], 16
        )
        assert ignored & (1 << (signal.SIGTERM - 1))
        assert ignored & (1 << (signal.SIGINT - 1))
    assert agent.child.poll() is None
    agent.child.kill()
    assert agent.exit() == -signal.SIGKILL


def test_crash_leaves_no_verdict(start: Start) -> None:
    agent = start("crash")
    assert agent.exit() == -signal.SIGKILL
    assert demo.result(row(), str(agent.log)).verdict is AgentVerdict.SILENT


def test_a_tool_runs_in_a_session_of_its_own(start: Start, wait_until: WaitUntil) -> None:
    agent = start("use a tool")
    wait_until(lambda: agent.has_said("tool"))
    tool = next(record for record in agent.records() if record["type"] == "tool")
    assert os.getsid(tool["pid"]) == tool["pid"] != os.getsid(agent.child.pid)
    assert psutil.Process(tool["pid"]).ppid() == agent.child.pid
    psutil.Process(tool["pid"]).kill()
    assert agent.exit() == 0
    shown = [
        (one.tool, one.text) for one in demo.log_messages(agent.log.read_text().splitlines()) if one.tool
    ]
    assert shown == [("sleep", "sleep 300")]


@pytest.mark.parametrize(
    ("prompt", "pace", "expected"),
    [
        ("Hello", None, 0.4),
        ("Hello", "0.01", 0.01),
        ("Hello", "0", 0.0),
        ("Hello", "soon", 0.4),
        ("Hello", "nan", 0.4),
        ("Hello", "-1", 0.4),
        ("Hello", "1e9", 0.4),
        ("be slow 10 please", "0.01", 2.0),
        ("Slow  2.5", None, 0.5),
        ("slow 999999999", None, 720.0),
        ("slow", None, 0.4),
        ("slowly 10", None, 0.4),
    ],
)
def test_pace(prompt: str, pace: str | None, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if pace is not None:
        monkeypatch.setenv("AGENTCTL_DEMO_PACE", pace)
    assert demo_agent.pace_of(prompt) == pytest.approx(expected)


def test_slow_takes_its_time(start: Start) -> None:
    agent = start("slow 0.5", pace="0")
    assert agent.exit() == 0
    first, last = (datetime.fromisoformat(agent.records()[at]["at"]) for at in (0, -1))
    assert (last - first).total_seconds() >= 0.499


def test_any_bytes_are_a_prompt(start: Start) -> None:
    agent = start("\x1b[31m\x00 \u202e\n" + "wörd " * 10_000)
    assert agent.exit() == 0
    assert demo.result(row(), str(agent.log)).tokens.input == 10_002


def test_it_starts_without_the_package(tmp_path: Path) -> None:
    """The agent's file imports the standard library alone, and little of it."""
    code = f"import sys; exec(open({demo.AGENT!r}).read(), {{'__name__': 'agent'}}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not any(name.startswith("agentctl") for name in loaded)
    assert not loaded & {"subprocess", "asyncio", "typing", "inspect", "socket"}


def test_a_file_in_the_directory_does_not_stand_in_for_a_library(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    command = demo.launch_command(CommandRequest(session_id="s", cwd=str(tmp_path), prompt="x"))
    done = subprocess.run(
        command.argv,
        input=b"x",
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "AGENTCTL_DEMO_PACE": "0"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_arguments_are_refused() -> None:
    with pytest.raises(UsageFault, match="no arguments"):
        demo.launch_command(CommandRequest(session_id="s", cwd="/", prompt="x", args=("--flag",)))


def test_the_configured_model_is_the_default() -> None:
    request = CommandRequest(session_id="s", cwd="/", prompt="x", config={"model": "demo-2"})
    assert demo.launch_command(request).argv[-1] == "demo-2"


def test_the_conversation_begins_with_the_prompt(start: Start) -> None:
    agent = start("Hello there")
    agent.exit()
    said = list(demo.messages(row(prompt="Hello there"), str(agent.log)))
    assert [one.role for one in said] == ["user", "log", *["assistant"] * 4]
    assert said[0].text == "Hello there"
    assert all(one.at is not None and one.at.tzinfo is not None for one in said[1:])


def test_a_long_log_is_read_at_its_ends(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    text = json.dumps({"type": "text", "text": "x" * 1000})
    with log.open("w") as file:
        file.write(json.dumps({"type": "start", "model": "demo-9"}) + "\n")
        file.writelines(f"{text}\n" for _ in range(2 * reading.TAIL_BYTES // len(text)))
    assert demo.result(row(), str(log)).model == "demo-9"
    assert demo.result(row(), str(log)).text == "x" * 1000
    with log.open("a") as file:
        file.write(json.dumps({"type": "usage", "model": "demo-9", "input": 1, "output": 2}) + "\n")
    result = demo.result(row(), str(log))
    assert (result.verdict, result.tokens) == (AgentVerdict.OK, Tokens(input=1, output=2))
    assert (result.cost_usd, result.turns) == (None, None)


def test_other_output_is_shown_as_it_is() -> None:
    lines = [
        "Killed",
        '{"no": "type"}',
        '{"type": "start", "at": "x"}',
        '{"type": "text", "text": "hi", "at": "x"}',
    ]
    shown = [(one.role, one.text, one.at) for one in demo.log_messages(lines)]
    assert shown == [("log", "Killed", None), ("log", '{"no": "type"}', None), ("assistant", "hi", None)]
