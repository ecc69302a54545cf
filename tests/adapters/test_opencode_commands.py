"""How opencode is started and resumed, and where it keeps its sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from agentctl.adapters import opencode
from agentctl.errors import AgentctlError, NotFound, UsageFault
from tests.adapters.opencode_samples import (
    request,
    session,
)


class TestLaunch:
    def test_prompt_on_stdin_and_everything_else_on_the_command_line(self) -> None:
        command = opencode.launch_command(request(model="anthropic/claude", args=("--thinking",)))
        assert command.argv == (
            *("opencode", "run", "--format", "json", "--print-logs", "--dir", "/project"),
            *("--title", "agentctl 0123", "-m", "anthropic/claude", "--thinking"),
        )
        assert command.stdin == "Do it"
        assert command.env == {"PWD": "/project"}
        assert command.native_id is None

    def test_prompt_is_handed_over_byte_for_byte(self) -> None:
        prompt = ' --help\n"quoted" $HOME\n\n'
        assert opencode.launch_command(request(prompt=prompt)).stdin == prompt

    @pytest.mark.parametrize("prompt", [None, "", " \n\t"])
    def test_an_empty_prompt_is_refused(self, prompt: str | None) -> None:
        with pytest.raises(UsageFault, match="needs a prompt"):
            opencode.launch_command(request(prompt=prompt))

    @pytest.mark.parametrize("model", ["gpt-5", "/gpt-5", "openai/"])
    def test_a_model_without_provider_is_refused_by_name(self, model: str) -> None:
        with pytest.raises(UsageFault, match="provider/model") as caught:
            opencode.launch_command(request(model=model))
        assert repr(model) in caught.value.message

    def test_a_model_may_hold_further_slashes(self) -> None:
        assert "openrouter/meta/llama" in opencode.launch_command(request(model="openrouter/meta/llama")).argv

    def test_configuration_gives_defaults(self) -> None:
        config = {"model": "p/default", "args": ["--thinking"], "agent": "plan"}
        argv = opencode.launch_command(request(config=config, args=("--share",), program=("npx", "oc"))).argv
        assert argv[:3] == ("npx", "oc", "run")
        assert argv[-6:] == ("-m", "p/default", "--agent", "plan", "--thinking", "--share")

    def test_the_users_own_words_beat_defaults(self) -> None:
        words = ("--title=mine", "-m", "p/mine", "--agent", "build")
        argv = opencode.launch_command(request(model="p/other", config={"agent": "plan"}, args=words)).argv
        assert argv[7:] == words

    @pytest.mark.parametrize(
        "option", ["--format", "--dir=/x", "--attach", "--session", "-s", "--continue", "-c"]
    )
    def test_options_that_agentctl_needs_are_refused(self, option: str) -> None:
        with pytest.raises(UsageFault, match=option.partition("=")[0]):
            opencode.launch_command(request(args=(option, "value")))

    def test_words_after_a_double_dash_are_words(self) -> None:
        assert opencode.launch_command(request(args=("--", "--format"))).argv[-2:] == ("--", "--format")

    @pytest.mark.parametrize("args", ["--thinking", [1]])
    def test_configured_args_of_another_kind_are_refused(self, args: object) -> None:
        with pytest.raises(UsageFault, match=r"\[adapters.opencode\]"):
            opencode.launch_command(request(config={"args": args}))


class TestResume:
    def test_same_conversation_same_directory_no_title(self) -> None:
        old = session(native_id="ses_1", cwd="/elsewhere")
        command = opencode.resume_command(old, request(prompt="And now?", config={"model": "p/default"}))
        assert command.argv == (
            *("opencode", "run", "--format", "json", "--print-logs", "--dir", "/elsewhere"),
            *("--session", "ses_1"),
        )
        assert (command.stdin, command.env["PWD"], command.native_id) == ("And now?", "/elsewhere", "ses_1")

    def test_a_model_of_this_request_is_used(self) -> None:
        assert opencode.resume_command(session(native_id="ses_1"), request(model="p/m")).argv[-2:] == (
            "-m",
            "p/m",
        )

    def test_without_a_native_id_the_error_says_what_is_missing(self) -> None:
        with pytest.raises(NotFound, match="no opencode session id") as caught:
            opencode.resume_command(session(), request())
        assert isinstance(caught.value, AgentctlError)
        assert "agentctl rerun" in (caught.value.hint or "")

    @pytest.mark.parametrize("given", [None, "", "{}"])
    def test_nothing_may_ask_a_person(self, given: str | None) -> None:
        environ = {} if given is None else {"OPENCODE_PERMISSION": given}
        assert self.permissions(environ) == {"question": "deny", "plan_enter": "deny", "plan_exit": "deny"}

    def test_the_users_permissions_are_kept_and_come_first(self) -> None:
        own = {"question": "allow", "edit": "deny", "*": "allow"}
        merged = self.permissions({"OPENCODE_PERMISSION": json.dumps(own)})
        assert list(merged) == ["edit", "*", "question", "plan_enter", "plan_exit"]
        assert merged["question"] == "deny"

    @pytest.mark.parametrize("given", ['"allow"', "{broken", "[]"])
    def test_a_value_that_is_no_object_is_left_alone(self, given: str) -> None:
        old = session(native_id="ses_1")
        command = opencode.resume_command(old, request(environ={"OPENCODE_PERMISSION": given}))
        assert "OPENCODE_PERMISSION" not in command.env

    @staticmethod
    def permissions(environ: Mapping[str, str]) -> dict[str, str]:
        command = opencode.resume_command(session(native_id="ses_1"), request(environ=environ))
        value: dict[str, str] = json.loads(command.env["OPENCODE_PERMISSION"] or "")
        return value


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/h"}, "/h/.local/share/opencode/opencode.db"),
        ({"HOME": "/h", "XDG_DATA_HOME": ""}, "/h/.local/share/opencode/opencode.db"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/opencode/opencode.db"),
        ({"XDG_DATA_HOME": "/x", "OPENCODE_DB": "other.db"}, "/x/opencode/other.db"),
        ({"HOME": "/h", "OPENCODE_DB": "/y/other.db"}, "/y/other.db"),
        ({"OPENCODE_DB": "/y/other.db"}, "/y/other.db"),
        ({"OPENCODE_DB": "other.db"}, None),
        ({"XDG_DATA_HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_store_path(environ: Mapping[str, str], expected: str | None) -> None:
    assert opencode.store_path(environ) == expected
