"""Slate, as far as others describe it: how it is started, and a log whose words are not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import slate
from agentctl.core.model import AgentVerdict, Result, Status
from agentctl.errors import AdapterUnavailable, UsageFault
from tests.adapters.pi_samples import DATA, request, session

LOGS = DATA.parent / "slate" / "logs"
ID = "b0c5e1b2-6d1c-4b7e-8f5a-1d2c3b4a5e6f"
RUN = ("slate", "-q", "Do it", "--output-format", "stream-json")


def content(**changes: Any) -> Any:
    """The inline configuration that a launch gives."""
    value = slate.launch_command(request(**changes)).env["SLATE_CONFIG_CONTENT"]
    return json.loads(value or "")


class TestLaunch:
    def test_the_prompt_is_the_value_of_its_option(self) -> None:
        command = slate.launch_command(request(prompt="--help", args=("--verbose",)))
        assert command.argv == ("slate", "-q", "--help", "--output-format", "stream-json", "--verbose")
        assert (command.stdin, command.env) == (None, {})

    @pytest.mark.parametrize("prompt", ["x" * 131_072, "a\0b", ""])
    def test_prompts_that_are_no_argument_are_refused_with_a_way_out(self, prompt: str) -> None:
        with pytest.raises(UsageFault) as caught:
            slate.launch_command(request(prompt=prompt))
        assert caught.value.hint

    def test_a_model_becomes_configuration(self) -> None:
        assert content(model="p/m") == {"models": {"main": {"default": "p/m"}}}
        assert content(config={"model": "p/d"}) == {"models": {"main": {"default": "p/d"}}}

    def test_the_users_own_configuration_stays(self) -> None:
        own = {"privacy": True, "models": {"main": {"x": 1}, "search": {"default": "p/s"}}}
        environ = {"SLATE_CONFIG_CONTENT": json.dumps(own)}
        assert content(model="p/m", environ=environ) == {
            "privacy": True,
            "models": {"main": {"x": 1, "default": "p/m"}, "search": {"default": "p/s"}},
        }
        assert slate.launch_command(request(environ=environ)).env == {}

    def test_a_configuration_that_cannot_be_read_is_not_thrown_away(self) -> None:
        with pytest.raises(UsageFault, match="SLATE_CONFIG_CONTENT"):
            slate.launch_command(request(model="p/m", environ={"SLATE_CONFIG_CONTENT": "[1]"}))

    def test_permissions_are_given_only_on_request_and_by_no_option(self) -> None:
        config = {"skip_permissions": True, "permission": {"bash": "ask"}}
        command = slate.launch_command(request(config=config))
        assert command.argv == RUN
        assert command.env == {
            "SLATE_DANGEROUS_SKIP_PERMISSIONS": "1",
            "SLATE_PERMISSION": '{"bash": "ask"}',
        }
        assert slate.launch_command(request(config={"skip_permissions": False})).env == {}

    @pytest.mark.parametrize("option", ["-q", "--output-format=text", "--resume", "-c", "-w"])
    def test_options_that_agentctl_needs_are_refused(self, option: str) -> None:
        with pytest.raises(UsageFault, match=option.partition("=")[0]):
            slate.launch_command(request(args=(option, "x")))


class TestResume:
    def test_with_the_id_that_slate_told(self) -> None:
        command = slate.resume_command(session(adapter="slate", native_id=ID), request())
        assert command.argv == (*RUN, "--resume", ID)
        assert command.native_id == ID

    def test_without_one_it_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(AdapterUnavailable) as caught:
            slate.resume_command(session(adapter="slate"), request())
        assert caught.value.hint is not None and "rerun" in caught.value.hint


def result(name: str, code: int | None = 0) -> Result:
    return slate.result(session(exit_code=code), str(LOGS / f"{name}.jsonl"))


@pytest.mark.parametrize(
    ("name", "verdict", "text", "native_id"),
    [
        ("done", AgentVerdict.SILENT, "All tests pass.", ID),
        ("parts", AgentVerdict.SILENT, "Done.", "ses_0a1b2c3d"),
        ("failed", AgentVerdict.ERROR, "the quota is used up", ID),
    ],
)
def test_what_a_log_says(name: str, verdict: AgentVerdict, text: str, native_id: str) -> None:
    told = result(name, code=None)
    assert told == Result(verdict=verdict, text=text, native_id=native_id)
    assert slate.native_id(session(), str(LOGS / f"{name}.jsonl")) == native_id


@pytest.mark.parametrize("printed", ["", "\n \n"])
def test_exit_0_with_an_empty_log_is_no_success(tmp_path: Path, printed: str) -> None:
    log = tmp_path / "output.log"
    log.write_text(printed)
    told = slate.result(session(status=Status.STOPPED, exit_code=0), str(log))
    assert told.verdict is AgentVerdict.ERROR
    assert told.text is not None and told.text.startswith("slate printed nothing")
    assert slate.result(session(), str(log)).verdict is AgentVerdict.SILENT, "it may still print"


SAID = '{"type":"assistant","message":{"content":"Done."}}\n'
STEP = '{"type":"step_finish","part":{"reason":"%s"}}\n'


@pytest.mark.parametrize(
    ("printed", "verdict", "missing"),
    [
        ("hello\n", AgentVerdict.SILENT, "there is no result record"),
        (SAID, AgentVerdict.SILENT, "there is no result record"),
        (SAID + '{"type":"result","result":"Done."}\n', AgentVerdict.OK, None),
        (SAID + '{"type":"result","subtype":"error_max_turns"}\n', AgentVerdict.ERROR, None),
        (SAID + '{"type":"result","stop_reason":"tool_use"}\n', AgentVerdict.ERROR, None),
        (SAID + STEP % "stop", AgentVerdict.OK, None),
        (SAID + STEP % "tool-calls", AgentVerdict.SILENT, "there is no result record"),
        (SAID + STEP % "stop" + SAID, AgentVerdict.SILENT, "there is no result record"),
    ],
)
def test_only_a_record_of_a_finished_turn_is_a_success(
    tmp_path: Path, printed: str, verdict: AgentVerdict, missing: str | None
) -> None:
    log = tmp_path / "output.log"
    log.write_text(printed)
    told = slate.result(session(exit_code=0), str(log))
    assert (told.verdict, told.missing) == (verdict, missing)


def test_lines_that_are_not_understood_are_shown_as_they_are() -> None:
    lines = ['{"type":"step","n":1}', '{"type":"result","result":"Done"}', "plain"]
    assert [(one.role, one.text) for one in slate.log_messages(lines)] == [
        ("log", '{"type":"step","n":1}'),
        ("assistant", "Done"),
        ("log", "plain"),
    ]
