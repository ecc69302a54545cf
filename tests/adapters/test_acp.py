"""acp: how its runner is started, and what a runner's log is read as."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import acp, reading
from agentctl.adapters.acp.commands import RUNNER
from agentctl.adapters.acp.rendering import conversation
from agentctl.adapters.base import CommandRequest
from agentctl.core.model import AgentVerdict, Result, Session, Status, Tokens
from agentctl.errors import NotFound, UsageFault

LOGS = Path(__file__).parent.parent / "data" / "acp" / "logs"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AGENTS = {"gemini": ["gemini", "--acp"], "pi": "pi-acp"}


def row(**changes: Any) -> Session:
    given: dict[str, Any] = {"id": "s" * 36, "adapter": "acp", "cwd": "/srv", "status": Status.STOPPED}
    return Session(**({**given, "created_at": NOW} | changes))


def request(*args: str, **changes: Any) -> CommandRequest:
    return CommandRequest(**({"session_id": "s", "cwd": "/srv", "prompt": "Do it", "args": args} | changes))


def options(argv: tuple[str, ...]) -> dict[str, str]:
    """The runner's own options."""
    own = argv[argv.index(RUNNER) + 1 : argv.index("--")]
    return dict(zip(own[::2], own[1::2], strict=True))


def agent(argv: tuple[str, ...]) -> tuple[str, ...]:
    return argv[argv.index("--") + 1 :]


# Commands


def test_the_agents_words_come_after_the_runners(tmp_path: Path) -> None:
    command = acp.launch_command(request("opencode", "acp", "--", "--model", "x"))
    assert command.argv[:5] == (sys.executable, "-I", "-S", "-u", RUNNER)
    assert agent(command.argv) == ("opencode", "acp", "--", "--model", "x")
    assert options(command.argv) == {"--permissions": "deny", "--timeout": "60"}
    assert command.stdin == "Do it"


@pytest.mark.parametrize(
    ("args", "config", "program", "expected"),
    [
        (("gemini",), {"agents": AGENTS}, (), ("gemini", "--acp")),
        (("pi",), {"agents": AGENTS}, (), ("pi-acp",)),
        (("kimi",), {"agents": AGENTS}, (), ("kimi",)),
        (("gemini", "--yolo"), {"agents": AGENTS}, (), ("gemini", "--yolo")),
        ((), {"agents": AGENTS, "agent": "gemini"}, (), ("gemini", "--acp")),
        (("kimi", "acp"), {"agents": AGENTS, "agent": "gemini"}, (), ("kimi", "acp")),
        ((), {}, ("droid", "exec"), ("droid", "exec")),
        (("gemini",), {"agents": AGENTS}, ("nice", "-n5"), ("nice", "-n5", "gemini", "--acp")),
        (("kimi", "acp"), {"args": ["--debug"]}, (), ("kimi", "acp", "--debug")),
    ],
)
def test_which_agent_is_meant(
    args: tuple[str, ...], config: dict[str, Any], program: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert agent(acp.launch_command(request(*args, config=config, program=program)).argv) == expected


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "needs the command of an agent"),
        ({"agents": {"x": []}, "agent": "x"}, "needs the command of an agent"),
        ({"agents": {"x": "opencode acp"}, "agent": "x"}, r"x in \[adapters.acp\] must be a list of strings"),
        ({"agents": AGENTS, "agent": "gemni"}, "gemni"),
        ({"agents": {"x": 3}}, "x in .adapters.acp. must be a list of strings"),
        ({"agents": {"x": ["a", 3]}}, "must be a list of strings"),
        ({"permissions": "ask"}, "one of deny, allow, not 'ask'"),
        ({"timeout": "soon"}, "timeout in .adapters.acp."),
        ({"args": 7}, "args in .adapters.acp. must be a list of strings"),
    ],
)
def test_what_cannot_be_served_is_refused(config: dict[str, Any], words: str) -> None:
    given = () if "agent" in config or not config else ("kimi",)
    with pytest.raises(UsageFault, match=words):
        acp.launch_command(request(*given, config=config))


def test_settings_reach_the_runner() -> None:
    config = {"permissions": "allow", "timeout": "1m30s", "model": "a/b"}
    told = options(acp.launch_command(request("x", config=config)).argv)
    assert told == {"--permissions": "allow", "--timeout": "90", "--model": "a/b"}
    assert options(acp.launch_command(request("x", model="c/d", config=config)).argv)["--model"] == "c/d"


def test_a_resume_is_led_like_its_launch() -> None:
    session = row(native_id="ses_1", args=("gemini",))
    config = {"agents": AGENTS, "model": "a/b", "permissions": "allow"}
    command = acp.resume_command(session, request(prompt="Go on", config=config))
    assert agent(command.argv) == ("gemini", "--acp")
    told = options(command.argv)
    assert (told["--resume"], told["--permissions"], told.get("--model")) == ("ses_1", "allow", None)
    assert (command.native_id, command.stdin) == ("ses_1", "Go on")
    asked = acp.resume_command(session, request("kimi", "acp", model="c/d"))
    assert (agent(asked.argv), options(asked.argv)["--model"]) == (("kimi", "acp"), "c/d")


def test_a_session_that_never_opened_cannot_go_on() -> None:
    with pytest.raises(NotFound) as caught:
        acp.resume_command(row(args=("x",)), request())
    assert "rerun" in str(caught.value.hint)


# Recorded runs of `opencode acp`

EXPECTED = {
    "opencode-answer": Result(
        AgentVerdict.OK, "user message 1: Say hello.", model="mock/echo", tokens=Tokens(10, 3)
    ),
    "opencode-resume": Result(
        AgentVerdict.OK, "user message 2: Go on.", model="mock/echo", tokens=Tokens(10, 3)
    ),
    "opencode-tool-allowed": Result(
        AgentVerdict.OK, "The tool has run", model="mock/tool-bash-2", tokens=Tokens(10, 3)
    ),
    "opencode-tool-denied": Result(
        AgentVerdict.ERROR,
        "the agent stopped early: permission for sleep 2 was denied",
        model="mock/tool-bash-2",
        tokens=Tokens(10, 3),
        notes=("permission for sleep 2 was denied",),
    ),
    "opencode-401": Result(
        AgentVerdict.ERROR, "Internal error: the fake model says 401", model="mock/http401"
    ),
    "opencode-no-model": Result(
        AgentVerdict.ERROR,
        "model mock/nosuch was refused: session/set_config_option: "
        "Invalid params: model not found: mock/nosuch",
    ),
    "opencode-stopped": Result(AgentVerdict.SILENT, "Calling a tool", model="mock/tool-bash-30"),
}


def test_every_recorded_log_is_judged() -> None:
    assert {path.stem for path in LOGS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_run(name: str) -> None:
    found = acp.result(row(), str(LOGS / f"{name}.jsonl"))
    assert found.native_id is not None and found.native_id.startswith("ses_")
    assert found.adapter_version == "OpenCode 1.18.33"
    assert found._replace(native_id=None, adapter_version=None) == EXPECTED[name]


def test_a_resumed_run_tells_the_id_of_the_first() -> None:
    first, second = (str(LOGS / f"opencode-{name}.jsonl") for name in ("answer", "resume"))
    assert acp.native_id(row(), first) == acp.native_id(row(), second) == acp.result(row(), second).native_id


def shown(name: str) -> list[tuple[str, str | None, str]]:
    lines = (LOGS / f"{name}.jsonl").read_text().split("\n")
    found = list(acp.log_messages(lines))
    assert all(one.at is not None for one in found)
    return [(one.role, one.tool, one.text) for one in found]


def test_a_recorded_tool_call_is_shown_as_it_goes() -> None:
    assert shown("opencode-tool-allowed")[1:] == [
        ("user", None, "Say hello."),
        ("assistant", None, "Calling a tool"),
        ("tool", "execute", "sleep 2"),
        ("log", None, "permission for sleep 2: allowed"),
        ("tool", "execute", "sleep 2 → (no output)"),
        ("assistant", None, "The tool has run"),
    ]
    assert shown("opencode-stopped")[-1] == ("log", None, "the turn ended: cancelled")
    assert shown("opencode-401")[-1] == ("error", None, "Internal error: the fake model says 401")


def test_every_beginning_of_a_log_is_read(tmp_path: Path) -> None:
    """It is written while it is read: nothing is said too early, and nothing is taken back."""
    path = tmp_path / "log"
    lines = (LOGS / "opencode-tool-allowed.jsonl").read_text().splitlines(keepends=True)
    final = acp.result(row(), str(LOGS / "opencode-tool-allowed.jsonl"))
    known = False
    for count in range(len(lines)):
        path.write_text("".join(lines[:count]) + lines[count][:40])
        found = acp.result(row(), str(path))
        assert found.verdict is AgentVerdict.SILENT
        assert found.native_id in ((final.native_id,) if known else (None, final.native_id))
        assert acp.native_id(row(), str(path)) == found.native_id
        known = known or found.native_id is not None
    assert known


# Pieces


def record(kind: str, **fields: Any) -> str:
    return json.dumps({"at": "2026-03-01T12:00:00.000+00:00", "type": kind, **fields})


def update(name: str, /, *, phase: str = "turn", **fields: Any) -> str:
    params = {"sessionId": "x", "update": {"sessionUpdate": name, **fields}}
    return record("in", phase=phase, frame={"jsonrpc": "2.0", "method": "session/update", "params": params})


def piece(text: str, message: str = "m", *, kind: str = "agent_message_chunk", phase: str = "turn") -> str:
    return update(kind, phase=phase, messageId=message, content={"type": "text", "text": text})


def said(messages: Iterator[Any]) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in messages]


def test_pieces_become_messages() -> None:
    lines = [
        piece("Hello "),
        update("usage_update", used=1),
        piece("world.\n\nNext"),
        piece(" line"),
        piece("Hm.", kind="agent_thought_chunk"),
        piece("An", "m2"),
        piece("other", "m2"),
        update("agent_message_chunk", messageId="m3", content={"type": "image", "data": "…"}),
    ]
    expected = [
        ("assistant", "Hello world.\n\nNext line"),
        ("log", "Hm."),
        ("assistant", "Another"),
        ("assistant", "[image]"),
    ]
    assert said(conversation(lines)) == expected
    by_line = said(acp.log_messages(lines))
    assert by_line == [("assistant", "Hello world.\n"), ("assistant", "Next line"), *expected[1:]]


def test_a_line_is_shown_when_it_is_whole() -> None:
    """`logs -f` cannot wait for the end of a long answer."""
    given = 0

    def coming() -> Iterator[str]:
        nonlocal given
        for text in ("One ", "line\nand ", "an", "other"):
            given += 1
            yield piece(text)

    messages = acp.log_messages(coming())
    assert (next(messages).text, given) == ("One line", 2)
    assert (next(messages).text, given) == ("and another", 4)


def test_the_answer_ends_the_last_message() -> None:
    lines = iter([piece("The end"), record("in", phase="turn", frame={"id": 3, "result": {}}), "never asked"])
    assert next(acp.log_messages(lines)).text == "The end"
    assert next(lines) == "never asked"


def test_what_is_no_answer_is_not_shown_as_one() -> None:
    lines = [
        piece("A banner", phase="setup"),
        piece("What was said before", phase="replay"),
        update("tool_call", phase="replay", toolCallId="c", status="completed", title="old"),
        piece("A subagent's words", phase="aside"),
        piece("The answer"),
    ]
    expected = [("log", "A banner"), ("log", "A subagent's words"), ("assistant", "The answer")]
    assert said(conversation(lines)) == expected


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"title": "Read a", "status": "completed"}, "Read a → done"),
        ({"title": "bash", "rawInput": {"command": "ls\n-l"}, "status": "completed"}, "ls -l → done"),
        ({"title": "t", "status": "failed"}, "t → failed: no reason given"),
        ({"title": "t", "status": "failed", "rawOutput": "\nnot there\n"}, "t → failed: not there"),
        ({"title": "t", "status": "completed", "rawOutput": {"output": "a\nb"}}, "t → a"),
        ({"status": "completed", "content": [{"type": "diff"}, 3]}, "… → done"),
    ],
)
def test_a_tool_call_in_one_line(fields: dict[str, Any], text: str) -> None:
    (message,) = acp.log_messages([update("tool_call", toolCallId="c", kind="read", **fields)])
    assert (message.role, message.tool, message.text) == ("tool", "read", text)


def test_noise_is_shown_as_it_is() -> None:
    cut = record("in", phase="turn", frame={"method": "x", "params": "y" * 500})[:400]
    lines = [
        "Traceback (most recent call last):",
        record("stderr", text="a warning"),
        record("garbage", text="not a frame"),
        record("end", error=None, stop_reason="end_turn", agent_exit=-9),
        json.dumps({"type": "end", "error": "forged"}),
        cut,
    ]
    found = said(acp.log_messages(lines))
    assert found[:4] == [
        ("log", lines[0]),
        ("log", "not a frame"),
        ("log", "a warning"),
        ("log", "the agent's process was ended by SIGKILL"),
    ]
    assert found[4][0] == "log" and len(found[5][1]) <= 200


def test_a_long_log_is_read_at_its_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        file.write(record("session", id="ses_1", how="new", agent="A 1", model="m/1") + "\n")
        for number in range(300):
            file.write(piece("x" * 20_000, f"m{number}") + "\n")
    assert log.stat().st_size > reading.TAIL_BYTES
    found = acp.result(row(), str(log))
    assert (found.native_id, found.model, found.text) == ("ses_1", "m/1", "x" * 20_000)
    with log.open("a") as file:
        file.write(record("end", error=None, session="ses_1", text="Done", retries=2, lost_records=1) + "\n")
    found = acp.result(row(), str(log))
    assert (found.verdict, found.text) == (AgentVerdict.OK, "Done")
    assert found.notes == (
        "the agent retried its model's server 2 times",
        "records that could not be written to the log: 1",
    )


def test_a_locked_database_is_tried_again_before_a_session_and_not_after(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(record("stderr", text="SQLiteError: database is locked") + "\n")
    assert acp.is_transient(1, str(log))
    assert not acp.is_transient(143, str(log))
    log.write_text(record("session", id="ses_1") + "\n" + log.read_text())
    assert not acp.is_transient(1, str(log))
