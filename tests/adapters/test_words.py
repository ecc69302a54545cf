"""Which of a user's own words for an agent's program are options, and which of them are refused."""

from __future__ import annotations

import pytest

from agentctl.adapters import registry
from agentctl.adapters.base import CommandRequest
from agentctl.adapters.words import has_option, strings
from agentctl.errors import UsageFault


@pytest.mark.parametrize(
    ("words", "is_given"),
    [
        ([], False),
        (["--resume", "x"], True),
        (["--resume=x"], True),
        (["--resumed"], False),
        (["-r", "x"], True),
        (["-rx"], True),
        (["-r=x"], True),
        (["x-r"], False),
        (["--", "-r"], False),
        (["-r", "--"], True),
        (["-"], False),
        ([""], False),
    ],
)
def test_has_option(words: list[str], is_given: bool) -> None:
    assert has_option(words, "--resume", "-r") is is_given


@pytest.mark.parametrize("value", ["one", [1], {"a": "b"}, None])
def test_what_is_no_list_of_strings_is_refused_by_its_name(value: object) -> None:
    request = CommandRequest(session_id="s", cwd="/", config={"args": value})
    with pytest.raises(UsageFault, match=r"args in \[adapters\.pi\] must be a list of strings"):
        strings(request, "args", adapter="pi")


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        ("claude-code", ["-rID"]),
        ("opencode", ["-cs", "ses_other"]),
        ("opencode", ["--session=ses_other"]),
        ("pi", ["-c"]),
        ("pi-rust", ["--session", "x"]),
        ("slate", ["--output-format=text"]),
    ],
)
def test_no_word_leads_a_launch_to_another_conversation_or_output(adapter: str, words: list[str]) -> None:
    module = registry.load(adapter)
    given = CommandRequest(session_id="s", cwd="/", prompt="Go on.", args=tuple(words))
    with pytest.raises(UsageFault, match="cannot be given here"):
        module.launch_command(given)
    configured = CommandRequest(session_id="s", cwd="/", prompt="Go on.", config={"args": words})
    with pytest.raises(UsageFault, match="cannot be given here"):
        module.launch_command(configured)
