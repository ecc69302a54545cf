"""ACP agents with a name of their own, their modes, their silence, and their ends."""

from __future__ import annotations

import time

import pytest

from agentctl.adapters import acp, registry
from agentctl.adapters.acp.rendering import log_messages
from agentctl.adapters.base import CommandRequest
from agentctl.core.model import Session
from tests.adapters.acp_runs import Start
from tests.conftest import Run, WaitUntil

COMMANDS = {
    "gemini": ("gemini", "--acp", "--model", "m1"),
    "copilot": ("copilot", "--acp", "--model", "m1"),
    "qwen": ("qwen", "--acp", "--model", "m1"),
    "kimi": ("kimi", "acp"),
    "codex-acp": ("codex-acp",),
    "claude-agent-acp": ("claude-agent-acp",),
}


def request(**changes: object) -> CommandRequest:
    given: dict[str, object] = {"session_id": "s", "cwd": "/srv", "prompt": "Say hello.", "model": "m1"}
    return CommandRequest(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_name_stands_for_a_command(name: str, acp_session: Session) -> None:
    assert set(COMMANDS) == registry.ACP_AGENTS
    agent = registry.load(name)
    command = agent.launch_command(request(args=("--own", "option")))
    end = command.argv.index("--")
    assert command.argv[end + 1 :] == (*COMMANDS[name], "--own", "option")
    assert ("--model" in command.argv[:end]) == ("--model" not in COMMANDS[name])
    assert command.programs == COMMANDS[name][:1]
    session = acp_session._replace(adapter=name, native_id="ses_1", args=("--own",))
    again = agent.resume_command(session, request(model=None)).argv
    assert again[again.index("--") + 1 :] == (
        *COMMANDS[name][:2],
        "--own",
    )
    assert "ses_1" in again


def test_what_is_set_for_acp_holds_for_each_of_them(run: Run) -> None:
    run("config set adapters.acp.mode yolo")
    run("config set adapters.acp.agent other")
    run("config set adapters.gemini.command sh")
    run("config set adapters.gemini.permissions allow")
    session = run("launch gemini --settle 0s -p hi").stdout.strip()
    run(f"wait {session}", exit=1)
    told = run(f"status --json {session}").json()["sessions"][0]
    assert told["adapter"] == "gemini"
    assert [one["id"] for one in run("list -a --adapter gemini --json").json()["sessions"]] == [session]


def test_a_missing_agent_comes_with_how_to_install_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    said = run("launch gemini -p hi", exit=12).stderr
    assert "gemini: command not found" in said and "npm install -g @google/gemini-cli" in said


@pytest.mark.parametrize(
    ("order", "mode", "sent"),
    [
        ("modes", "plan", {"modeId": "https://example.org/modes#plan"}),
        ("modes", "YOLO", {"modeId": "yolo"}),
        ("mode-option", "yolo", {"configId": "how", "value": "yolo"}),
    ],
)
def test_a_mode_is_set_before_the_prompt(start: Start, order: str, mode: str, sent: dict[str, str]) -> None:
    lead = start(order, options=("--mode", mode))
    assert lead.end()["error"] is None
    *_, chosen, prompt = lead.frames("out")
    assert {key: chosen["params"].get(key) for key in sent} == sent
    assert prompt["method"] == "session/prompt"


@pytest.mark.parametrize(("order", "offered"), [("modes", "plan, yolo"), ("silent", "none")])
def test_an_unknown_mode_is_refused(start: Start, order: str, offered: str) -> None:
    lead = start(order, options=("--mode", "fast"))
    assert lead.end()["error"] == f"the agent has no mode fast; it offers: {offered}"
    assert "session/prompt" not in lead.sent()


def test_a_silence_is_recorded_once_while_it_lasts(
    start: Start, acp_session: Session, wait_until: WaitUntil
) -> None:
    lead = start("hang", options=("--quiet", "0.2"))
    wait_until(lambda: lead.records("quiet"))
    (note,) = acp.result(acp_session, str(lead.log)).notes
    assert note.startswith("the agent had sent nothing for 0 s at 20")
    lead.child.terminate()
    lead.exit()
    assert len(lead.records("quiet")) == 1
    assert acp.result(acp_session, str(lead.log)).notes == ()
    shown = [one.text for one in log_messages(lead.log.read_text().splitlines())]
    assert "the agent has sent nothing for 0 s" in shown


def test_no_silence_is_recorded_while_an_agent_speaks(start: Start) -> None:
    lead = start("pause:0.3", options=("--quiet", "20"))
    lead.end()
    assert lead.records("quiet") == []


def test_standard_error_is_folded_after_a_good_turn_only(start: Start) -> None:
    good = start("stderr:10")
    good.end()
    shown = [one.text for one in log_messages(good.log.read_text().splitlines())]
    assert "(2 lines of standard error; agentctl logs --raw shows them)" in shown
    assert "last words" not in shown
    bad = start("stderr:10", "silent")
    bad.end()
    shown = [one.text for one in log_messages(bad.log.read_text().splitlines())]
    assert "last words" in shown
    live = [line for line in bad.log.read_text().splitlines() if '"type": "end"' not in line]
    assert "last words" in [one.text for one in log_messages(live)]


@pytest.mark.parametrize("name", ["codex-acp", "@zed-industries/claude-code-acp"])
def test_an_old_bridge_is_not_waited_for(start: Start, name: str) -> None:
    """It takes no notice of the end of its input, for which any other agent gets 5 s."""
    lead = start(f"name:{name}", "stay")
    began = time.monotonic()
    assert lead.end()["error"] is None
    assert time.monotonic() - began < 4
