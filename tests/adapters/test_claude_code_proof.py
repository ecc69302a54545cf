"""Only a complete `result` line that tells of a finished turn proves a success of claude."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import claude_code
from agentctl.adapters.showing import GOES_ON
from agentctl.core.model import AgentVerdict, Result, Tokens
from tests.adapters.test_claude_code import session

INIT = {"type": "system", "subtype": "init", "session_id": "s", "model": "m"}
SUCCESS = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}


def says(text: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"model": "m", "content": [{"type": "text", "text": text}]}}


def calls(name: str = "Bash") -> dict[str, Any]:
    block = {"type": "tool_use", "id": "t", "name": name, "input": {}}
    return {"type": "assistant", "message": {"model": "m", "content": [block]}}


def told(tmp_path: Path, *events: dict[str, Any], cut: int = 0, code: int | None = 0) -> Result:
    """What is known of a run that wrote these events, without the last `cut` characters, and left."""
    log = tmp_path / "output.log"
    text = "".join(json.dumps(event) + "\n" for event in events)
    log.write_text(text[: len(text) - cut])
    return claude_code.result(session()._replace(exit_code=code), str(log))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"subtype": "error_max_turns"}, "error_max_turns"),
        ({"subtype": "error_max_budget_usd"}, "error_max_budget_usd"),
        ({"subtype": "error_during_execution"}, "error_during_execution"),
        ({"subtype": "error_max_structured_output_retries"}, "error_max_structured_output_retries"),
        ({"subtype": "error_of_a_later_release", "errors": ["no more"]}, "no more"),
        ({"stop_reason": "tool_use", "result": ""}, "tool_use"),
        ({"stop_reason": "tool_deferred"}, "tool_deferred"),
        ({"terminal_reason": "tool_deferred"}, "tool_deferred"),
        ({"stop_reason": "refusal"}, "refusal"),
        ({"stop_reason": "pause_turn"}, "pause_turn"),
        ({"terminal_reason": "max_turns"}, "max_turns"),
        ({"terminal_reason": "aborted_tools"}, "aborted_tools"),
        ({"is_error": True, "result": "API Error: 500"}, "API Error: 500"),
    ],
)
def test_another_end_than_a_finished_turn_is_an_error_in_claudes_own_word(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    found = told(tmp_path, INIT, says("Done."), SUCCESS | changes)
    assert found.verdict is AgentVerdict.ERROR
    assert found.text is not None and word in found.text


@pytest.mark.parametrize("stop", [None, "end_turn", "stop_sequence", "max_tokens"])
def test_a_finished_turn_is_a_success(tmp_path: Path, stop: str | None) -> None:
    found = told(tmp_path, INIT, says("Done."), SUCCESS | {"stop_reason": stop})
    assert (found.verdict, found.text, found.missing) == (AgentVerdict.OK, "Done.", None)


def test_a_call_without_an_answer_and_without_words_is_no_finished_turn(tmp_path: Path) -> None:
    found = told(tmp_path, INIT, calls(), SUCCESS | {"result": ""})
    assert (found.verdict, found.text) == (AgentVerdict.ERROR, "stopped at a call of Bash")


def test_the_last_words_stand_in_for_an_empty_result(tmp_path: Path) -> None:
    of_subagent = says("Looked.") | {"parent_tool_use_id": "t"}
    found = told(tmp_path, INIT, says("Seven apples."), of_subagent, SUCCESS | {"result": ""})
    assert (found.verdict, found.text) == (AgentVerdict.OK, "Seven apples.")


@pytest.mark.parametrize(
    "events",
    [(INIT,), (INIT, calls()), (INIT, says("Done.")), (INIT, SUCCESS, INIT, says("And")), (SUCCESS, calls())],
)
def test_a_run_that_left_in_the_middle_of_a_turn_has_no_record(
    tmp_path: Path, events: tuple[dict[str, Any], ...]
) -> None:
    found = told(tmp_path, *events)
    assert (found.verdict, found.missing) == (AgentVerdict.SILENT, "there is no result record")
    assert told(tmp_path, *events, code=None).missing is None, "it may still write one"


def test_a_record_that_is_cut_off_is_none(tmp_path: Path) -> None:
    found = told(tmp_path, INIT, says("Done."), SUCCESS, cut=9)
    assert found.verdict is AgentVerdict.SILENT
    assert found.missing == "there is no result record: its log could not be written to the end"


def test_a_turn_that_a_hook_put_off_says_how_it_goes_on(tmp_path: Path) -> None:
    assert GOES_ON in told(tmp_path, INIT, SUCCESS | {"stop_reason": "tool_deferred"}).notes


USAGE = {"input_tokens": 11, "output_tokens": 22, "cache_read_input_tokens": 4}


class TestUsage:
    def test_of_a_record_without_the_sums_by_model_counts(self, tmp_path: Path) -> None:
        found = told(tmp_path, INIT, SUCCESS | {"total_cost_usd": 0.1, "usage": USAGE})
        assert (found.tokens, found.cost_usd) == (Tokens(11, 22, 4, None), 0.1)

    def test_of_several_turns_is_summed(self, tmp_path: Path) -> None:
        turn = SUCCESS | {"total_cost_usd": 0.1, "usage": USAGE}
        found = told(tmp_path, INIT, turn, INIT, turn | {"total_cost_usd": 0.2})
        assert (found.tokens, found.cost_usd) == (Tokens(22, 44, 8, None), 0.2)

    def test_that_is_not_told_is_unknown(self, tmp_path: Path) -> None:
        found = told(tmp_path, INIT, SUCCESS | {"total_cost_usd": 0.1})
        assert (found.tokens, found.cost_usd) == (Tokens(), 0.1)
