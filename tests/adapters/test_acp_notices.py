"""What ACP agents send as text of their own, and where they report their tokens: by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentctl.adapters import acp
from agentctl.adapters.acp.rendering import conversation
from agentctl.adapters.base import Role
from agentctl.core.model import AgentVerdict, Session, Tokens
from tests.adapters.acp_runs import Lead, Start
from tests.conftest import WaitUntil
from tests.fake_acp_agent import GREETING

COPILOT = "name:Copilot"
CODEX = "name:@agentclientprotocol/codex-acp"
RETRY = "whole:Info: Request failed due to a transient API error. Retrying..."
FAILURE = "whole:Error: Authentication failed (HTTP 401)."
DENIED = "the agent stopped early: permission for rm -rf / was denied"
SILENCE = "the agent ended its turn without saying anything or calling a tool"


def judged(lead: Lead, session: Session) -> tuple[AgentVerdict | None, str | None]:
    lead.exit()
    result = acp.result(session, str(lead.log))
    return result.verdict, result.text


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ([COPILOT, RETRY, FAILURE, "no-usage", "silent"], "Error: Authentication failed (HTTP 401)."),
        ([COPILOT, FAILURE, "no-usage", "silent"], "Error: Authentication failed (HTTP 401)."),
        ([COPILOT, "tool", RETRY, FAILURE, "silent"], "Error: Authentication failed (HTTP 401)."),
        ([COPILOT, "tool", FAILURE, "silent"], "Error: Authentication failed (HTTP 401)."),
        ([COPILOT, RETRY, "silent"], f"{SILENCE} (except for notices of retries)"),
        ([CODEX, "whole:Warning: Unknown model.\n\n", "system-error", "no-usage"], "high demand"),
        ([CODEX, "whole:Warning: Unknown model.\n\n", "silent"], SILENCE),
    ],
)
def test_a_turn_that_ended_in_a_notice_has_failed(
    start: Start, acp_session: Session, orders: list[str], error: str
) -> None:
    lead = start(*orders)
    assert lead.end()["error"] == error
    assert lead.exit() == 1
    assert judged(lead, acp_session) == (AgentVerdict.ERROR, error)


def test_a_notice_after_a_denied_permission_is_not_an_answer(start: Start) -> None:
    lead = start(COPILOT, "ask-then-notice")
    assert (lead.end()["error"], lead.exit()) == (DENIED, 1)


@pytest.mark.parametrize(
    ("orders", "text"),
    [
        ([COPILOT, RETRY], GREETING),
        ([COPILOT, "whole:Error: is a word.", "silent"], "Error: is a word."),
        ([COPILOT, "whole:Error: it", "say: is a word"], "Error: it is a word"),
        (["whole:Info: all is well", "no-usage", "silent"], "Info: all is well"),
        (["whole:Error: I found one", "no-usage", "silent"], "Error: I found one"),
        ([CODEX, "whole:Error: I found one", "silent"], "Error: I found one"),
        ([CODEX, "whole:Warning: Unknown model.\n\n"], GREETING),
    ],
)
def test_an_answer_is_not_taken_for_a_notice(
    start: Start, acp_session: Session, orders: list[str], text: str
) -> None:
    """Neither one that the agent paid tokens for, nor one of an agent that sends no such notices."""
    lead = start(*orders)
    assert (lead.end()["error"], lead.exit()) == (None, 0)
    assert judged(lead, acp_session) == (AgentVerdict.OK, text)


@pytest.mark.parametrize(
    ("order", "tokens"),
    [
        ("quota", Tokens(input=10, output=3)),
        ("counts", Tokens(input=20, output=6, cache_read=0)),
        ("no-usage", Tokens()),
    ],
)
def test_tokens_are_read_where_the_agent_reports_them(
    start: Start, acp_session: Session, order: str, tokens: Tokens
) -> None:
    lead = start(order)
    assert lead.end()["text"] == GREETING
    assert acp.result(acp_session, str(lead.log)).tokens == tokens


def test_a_request_for_permission_ends_a_message(start: Start) -> None:
    """gemini numbers none of its messages and reports no call of a denied tool."""
    lead = start("whole:Calling a tool", "ask", "unnumbered")
    assert lead.end()["text"] == "permission: id-reject_once"
    lines = lead.log.read_text().splitlines()
    said = [one.text for one in conversation(lines) if one.role is Role.ASSISTANT]
    assert said == ["Calling a tool", "permission: id-reject_once"]


@pytest.mark.parametrize("order", ["old-model", "model-unsaid"])
def test_a_live_session_shows_the_model_that_was_chosen(
    start: Start, acp_session: Session, wait_until: WaitUntil, order: str
) -> None:
    lead = start(order, "hang", options=("--model", "large"))
    wait_until(lambda: '"text": "hang"' in Path(lead.log).read_text())
    assert acp.result(acp_session, str(lead.log)).model == "large"
