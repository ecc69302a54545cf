"""A success is proved, not assumed: what every adapter makes of exit 0 without the record that is due."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentctl.adapters.base import Adapter, Capability
from agentctl.core.decide import decide
from agentctl.core.model import AgentVerdict, ExitRecord, Liveness, Observation, Outcome
from tests.adapters.contract import NOW, can, having, row

OTHERS_MATTER = {"demo"}
"""Needs no proof: the agent is our own."""

LOGS = {
    "nothing": "",
    "plain words": "hello\n",
    "an event of no agent": '{"type":"something","session_id":"s"}\n',
    "words of claude": '{"type":"system","subtype":"init","session_id":"s"}\n'
    '{"type":"assistant","message":{"model":"m","content":[{"type":"text","text":"Done."}]}}\n',
    "a call of claude": '{"type":"assistant","message":'
    '{"model":"m","content":[{"type":"tool_use","id":"t"}]}}\n',
    "a turn of codex": '{"type":"thread.started","thread_id":"t"}\n{"type":"turn.started"}\n'
    '{"type":"item.completed","item":{"type":"agent_message","text":"Done."}}\n',
    "a step of opencode": '{"type":"step_start","sessionID":"ses_1","part":{}}\n'
    '{"type":"text","sessionID":"ses_1","part":{"type":"text","text":"Done."}}\n',
    "an answer of pi": '{"type":"session","id":"s","timestamp":"2026-03-01T12:00:00Z"}\n'
    '{"type":"agent_start"}\n'
    '{"type":"message_start","message":{"role":"assistant","content":[]}}\n',
    "a result cut off": '{"type":"result","subtype":"success","is_error":false,"result":"Do',
    "an end cut off": '{"type":"turn.completed","usage":{"input_to',
    "an answer cut off": '{"type":"message_end","message":{"role":"assistant","stopReason":"sto',
}


@having(Capability.PROMPT)
@pytest.mark.parametrize("printed", LOGS.values(), ids=LOGS.keys())
def test_exit_0_without_a_complete_record_is_a_failure(
    adapter: Adapter, printed: str, tmp_path: Path
) -> None:
    if adapter.NAME in OTHERS_MATTER or not can(adapter, Capability.LAUNCH):
        return
    log = tmp_path / "output.log"
    log.write_text(printed)
    session = row(adapter, str(tmp_path / "store"), native_id=None)
    told = adapter.result(session._replace(exit_code=0), str(log))
    seen = Observation(Liveness.DEAD, "gone", exit=ExitRecord(0, NOW), result=told)
    assert decide(session, None, seen, NOW).session.outcome is Outcome.FAILED
    if told.verdict is AgentVerdict.SILENT:
        assert told.missing is not None and told.missing.startswith("there is no result record")


@having(Capability.PROMPT)
def test_a_log_that_could_not_be_written_is_named(adapter: Adapter, tmp_path: Path) -> None:
    if adapter.NAME in OTHERS_MATTER | {"slate"}:
        return
    session = row(adapter, None, native_id=None)._replace(exit_code=0)
    told = adapter.result(session, str(tmp_path / "gone.log"))
    assert told.missing == "there is no result record: its log cannot be read (No such file or directory)"
