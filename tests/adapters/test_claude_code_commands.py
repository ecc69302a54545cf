"""How claude is started, resumed and billed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import claude_code
from agentctl.adapters.base import CommandRequest
from agentctl.adapters.claude_code.commands import KEYS, OF_PARENT, OURS
from agentctl.adapters.showing import GOES_ON
from agentctl.core.model import Session, Status
from agentctl.errors import NotFound, UsageFault
from tests.adapters.contract import NOW

ID = "0f9a1b2c-0000-4000-8000-000000000000"
OLDER = "0f9a1b2c-0000-4000-8000-000000000001"
HEAD = ("claude", "-p", "--session-id", ID, "--output-format", "stream-json", "--verbose")


def request(**changes: object) -> CommandRequest:
    given: dict[str, object] = {"session_id": ID, "cwd": "/srv/project", "prompt": "Say hello"}
    return CommandRequest(**(given | changes))  # type: ignore[arg-type]


def session(native_id: str | None = OLDER) -> Session:
    status, cwd = Status.STOPPED, "/srv/project"
    return Session(id=ID, adapter="claude-code", cwd=cwd, status=status, created_at=NOW, native_id=native_id)


def argv(**changes: object) -> tuple[str, ...]:
    return claude_code.launch_command(request(**changes)).argv


def test_a_launch_chooses_the_id_and_hides_the_prompt() -> None:
    command = claude_code.launch_command(request(prompt="--model evil\n"))
    assert command.argv == HEAD
    assert (command.stdin, command.native_id) == ("--model evil\n", ID)


def test_options_stand_before_the_users_words() -> None:
    """An option that takes several values swallows what follows it."""
    config = {"model": "haiku", "permission_mode": "acceptEdits", "args": ["--add-dir", "/a", "/b"]}
    found = argv(config=config, args=("--allowedTools", "Bash", "Edit"), model="opus")
    ours = ("--model", "opus", "--permission-mode", "acceptEdits")
    assert found == (*HEAD, *ours, "--add-dir", "/a", "/b", "--allowedTools", "Bash", "Edit")


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("--model", "sonnet"), "opus"),
        (("--model=sonnet",), "opus"),
        (("--permission-mode", "plan"), "acceptEdits"),
        (("--dangerously-skip-permissions",), "acceptEdits"),
    ],
)
def test_the_users_own_words_win(words: tuple[str, ...], missing: str) -> None:
    config = {"model": "opus", "permission_mode": "acceptEdits"}
    assert missing not in argv(config=config, args=words)


@pytest.mark.parametrize("option", OURS)
def test_words_that_would_break_the_watching_are_refused_with_a_reason(option: str) -> None:
    for words in ((option, "x"), (f"{option}=x",)):
        with pytest.raises(UsageFault, match=option) as caught:
            argv(args=words)
        assert caught.value.message.endswith(OURS[option])
        with pytest.raises(UsageFault, match=option):
            argv(config={"args": list(words)})
    assert argv(args=("--", option))[-1] == option


def test_a_short_option_is_found_with_its_value_in_the_same_word() -> None:
    for word in (f"-r{OLDER}", "-cp", "-pc"):
        with pytest.raises(UsageFault, match="cannot be given here"):
            argv(args=(word,))
    assert argv(args=("-d", "--debug-file=/tmp/log"))[-2:] == ("-d", "--debug-file=/tmp/log")


def test_a_permission_mode_is_one_that_claude_has() -> None:
    with pytest.raises(UsageFault, match="permission_mode") as caught:
        argv(config={"permission_mode": "yolo"})
    assert "acceptEdits" in (caught.value.hint or "")
    (option,) = [one for one in claude_code.OPTIONS if one.name == "permission_mode"]
    for mode in option.choices:
        assert argv(config={"permission_mode": mode})[-2:] == ("--permission-mode", mode)


def test_a_resume_keeps_the_id_and_asks_for_the_permissions_again() -> None:
    config = {"model": "haiku", "permission_mode": "plan"}
    command = claude_code.resume_command(session(), request(config=config, args=("--max-turns", "3")))
    expected = ("claude", "-p", "--resume", OLDER, *HEAD[4:], "--permission-mode", "plan", "--max-turns", "3")
    assert command.argv == expected, "the conversation keeps its model"
    assert command.native_id == OLDER
    again = claude_code.resume_command(session(), request(model="opus"))
    assert again.argv[-2:] == ("--model", "opus")
    with pytest.raises(NotFound) as caught:
        claude_code.resume_command(session(native_id=None), request())
    assert "rerun" in (caught.value.hint or "")


@pytest.mark.parametrize("names", [KEYS[:1], KEYS[1:], KEYS])
def test_keys_are_taken_away_with_a_note(names: tuple[str, ...]) -> None:
    environ = dict.fromkeys(names, "a-secret")
    for command in (
        claude_code.launch_command(request(environ=environ)),
        claude_code.resume_command(session(), request(environ=environ)),
    ):
        assert {command.env[name] for name in KEYS} == {None}
        (note,) = command.notes
        assert all(name in note for name in names) and "a-secret" not in note
        assert "AGENTCTL_CLAUDE_USE_API_KEY=1" in note and "use_api_key" in note


def test_without_a_key_there_is_nothing_to_note() -> None:
    for environ in ({}, {"ANTHROPIC_API_KEY": ""}):
        command = claude_code.launch_command(request(environ=environ))
        assert command.notes == ()
        assert {command.env[name] for name in KEYS} == {None}


@pytest.mark.parametrize(
    "wish", [{"config": {"use_api_key": True}}, {"environ": {"AGENTCTL_CLAUDE_USE_API_KEY": "1"}}]
)
def test_keys_stay_on_request(wish: dict[str, dict[str, object]]) -> None:
    environ = {"ANTHROPIC_API_KEY": "a-secret", **wish.get("environ", {})}
    command = claude_code.launch_command(request(**{**wish, "environ": environ}))
    assert not set(KEYS) & set(command.env)
    assert command.notes == ()


def test_a_key_that_was_given_by_name_stays_without_a_note() -> None:
    environ = {"ANTHROPIC_API_KEY": "a-given-key", "ANTHROPIC_AUTH_TOKEN": "a-stray-token"}
    command = claude_code.launch_command(
        request(environ=environ, given=frozenset({"ANTHROPIC_API_KEY", "CLAUDECODE"}))
    )
    assert "ANTHROPIC_API_KEY" not in command.env and "CLAUDECODE" not in command.env
    assert command.env["ANTHROPIC_AUTH_TOKEN"] is None
    (note,) = command.notes
    assert "ANTHROPIC_AUTH_TOKEN" in note and "ANTHROPIC_API_KEY" not in note


def test_keys_do_not_stay_by_a_word_that_says_no() -> None:
    for value in ("0", "", "no"):
        environ = {"ANTHROPIC_API_KEY": "a-secret", "AGENTCTL_CLAUDE_USE_API_KEY": value}
        assert claude_code.launch_command(request(environ=environ)).env["ANTHROPIC_API_KEY"] is None
    environ = {"ANTHROPIC_API_KEY": "a-secret", "AGENTCTL_CLAUDE_USE_API_KEY": "0"}
    told = request(environ=environ, config={"use_api_key": True})
    assert claude_code.launch_command(told).env["ANTHROPIC_API_KEY"] is None, "the environment beats the file"


def test_what_a_parent_claude_tells_its_tools_is_taken_away() -> None:
    env = claude_code.launch_command(request()).env
    assert {env[name] for name in OF_PARENT} == {None}
    assert not {"CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR"} & set(env)


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({}, False),
        ({"given": frozenset({"ANTHROPIC_BASE_URL"})}, True),
        ({"config": {"use_api_key": True}}, True),
        ({"environ": {"ANTHROPIC_BASE_URL": "http://x", "AGENTCTL_CLAUDE_USE_API_KEY": "1"}}, True),
    ],
)
def test_a_stray_address_of_another_server_is_treated_as_a_key(changes: dict[str, Any], stays: bool) -> None:
    command = claude_code.launch_command(request(**{"environ": {"ANTHROPIC_BASE_URL": "http://x"}} | changes))
    assert ("ANTHROPIC_BASE_URL" not in command.env) is stays
    assert any("ANTHROPIC_BASE_URL" in note for note in command.notes) is not stays


def test_arguments_in_the_configuration_are_a_list() -> None:
    with pytest.raises(UsageFault, match=r"adapters\.claude-code"):
        argv(config={"args": "--verbose"})


def test_the_store_follows_the_environment(tmp_path: Path) -> None:
    environ = {"HOME": "/home/u"}
    assert claude_code.store_path(environ) == "/home/u/.claude/projects"
    assert claude_code.store_path({**environ, "CLAUDE_CONFIG_DIR": str(tmp_path)}) == f"{tmp_path}/projects"
    assert claude_code.store_path({**environ, "CLAUDE_CONFIG_DIR": ""}) == "/home/u/.claude/projects"
    assert claude_code.store_path({}) is None
    assert claude_code.store_path({"CLAUDE_CONFIG_DIR": "relative"}) is None


def test_a_call_that_was_put_off_needs_no_message() -> None:
    put_off = session()._replace(notes=(GOES_ON,))
    assert claude_code.resume_command(put_off, request(prompt=None)).stdin is None
    assert claude_code.resume_command(put_off, request(prompt="Go on.")).stdin == "Go on."
    with pytest.raises(UsageFault):
        claude_code.resume_command(session(), request(prompt=None))
