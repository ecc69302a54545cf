"""Records that no agent should write: none of them ends a listing, or takes long to read."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import claude_code, codex, opencode, pi
from agentctl.adapters.values import LARGEST
from agentctl.core.model import AgentVerdict, Result, Tokens
from tests.adapters import codex_samples, opencode_samples, pi_samples
from tests.adapters import test_claude_code as claude_samples
from tests.adapters.test_claude_code_discovery import assistant, user, written
from tests.conftest import Run, RunReal
from tests.fake_gateway import Peer, captured, gateway

BEFORE_TIME = "0001-01-01T00:00:00+14:00"
"""A well-formed time stamp that has no UTC."""

NATIVE = "0f9a1b2c-0000-4000-8000-00000000000b"


def write(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return str(path)


# Two answers, each with the largest count that a column holds


def pi_log() -> list[dict[str, Any]]:
    usage = {"input": LARGEST, "output": 3, "cost": {"total": 1e308}}
    said = {"type": "message_end", "message": pi_samples.answer(usage=usage)}
    header = {"type": "session", "version": 3, "id": NATIVE, "cwd": pi_samples.PROJECT}
    return [header, said, said, {"type": "agent_end", "messages": []}]


def of_pi(path: Path) -> Result:
    return pi.result(pi_samples.session(exit_code=0), write(path, *pi_log()))


def of_opencode(path: Path) -> Result:
    tokens = {"input": LARGEST, "output": 3, "cache": {"read": 0, "write": 0}}
    part = {"id": "prt_1", "type": "step-finish", "reason": "stop", "tokens": tokens, "cost": 1e308}
    step = {"type": "step_finish", "sessionID": opencode_samples.FINISHED, "part": part}
    return opencode.result(opencode_samples.session(exit_code=0), write(path, step, step))


def of_claude(path: Path) -> Result:
    """By models: the account that a finished run ends with."""
    usage = {"inputTokens": LARGEST, "outputTokens": 3}
    told = {"type": "result", "subtype": "success", "is_error": False, "result": "Hi", "session_id": NATIVE}
    return claude_code.result(
        claude_samples.session(), write(path, told | {"modelUsage": {"one": usage, "other": usage}})
    )


def of_claudes_turns(path: Path) -> Result:
    """By turns: the account of a release that tells nothing of models."""
    usage = {"input_tokens": LARGEST, "output_tokens": 3}
    told = {"type": "result", "subtype": "success", "is_error": False, "result": "Hi", "session_id": NATIVE}
    return claude_code.result(
        claude_samples.session(), write(path, *({**told, "usage": usage} for _ in range(2)))
    )


@pytest.mark.parametrize("told", [of_pi, of_opencode, of_claude, of_claudes_turns])
def test_a_sum_beyond_a_column_is_not_known(told: Callable[[Path], Result], tmp_path: Path) -> None:
    result = told(tmp_path / "log")
    assert result.tokens.output == 6
    assert all(count is None or abs(count) <= LARGEST for count in result.tokens)
    assert result.tokens.input != LARGEST, "nor is one of them the sum"
    assert result.cost_usd is None, "nor a price beyond every number"


def test_a_run_that_counts_beyond_a_column_ends_and_is_listed(run_real: RunReal, tmp_path: Path) -> None:
    log = write(tmp_path / "said", *pi_log())
    program = tmp_path / "pi"
    program.write_text(f"#!/bin/sh\nexec cat '{log}'\n")
    program.chmod(0o755)
    run_real(["config", "set", "adapters.pi.command", str(program)])
    words = ["launch", "pi", "--cwd", str(tmp_path), "-p", "Say hello.", "--wait"]
    (session,) = run_real(words).lines
    (one,) = run_real(["list", "-a", "--json"]).json()["sessions"]
    assert (one["id"], one["outcome"], one["result"]) == (session, "succeeded", "Hi")
    assert (one["tokens"]["input"], one["tokens"]["output"], one["cost_usd"]) == (None, 6, None)


# Instants before the first year


def test_a_rollout_from_before_the_first_year_ends_no_listing(run: Run, tmp_path: Path) -> None:
    sane = codex_samples.put(tmp_path / "home" / ".codex", "tool-call")
    path = codex_samples.put(tmp_path / "home" / ".codex", "finished")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[0]["payload"]["timestamp"] = BEFORE_TIME
    write(path, *({**record, "timestamp": BEFORE_TIME} for record in records))
    for one in (sane, path):
        os.utime(one)  # a recent one is looked at
    expect_sane(run, codex_samples.THREADS["tool-call"])


def test_a_transcript_from_before_the_first_year_ends_no_listing(run: Run, tmp_path: Path) -> None:
    written(tmp_path / "home", [user("Say hello."), assistant("Hi")])
    early = {"timestamp": BEFORE_TIME, "sessionId": NATIVE}
    records = [user("Say hello.") | early, assistant("Hi") | early]
    written(tmp_path / "home", records, native_id=NATIVE)
    expect_sane(run, "0f9a1b2c-0000-4000-8000-00000000000a")


def expect_sane(run: Run, native_id: str) -> None:
    """Listed, and not for the listing's having skipped the adapter."""
    listing = run(["list", "-a", "--json"])
    assert native_id in {one["native_id"] for one in listing.json()["sessions"]}
    assert listing.stderr == ""


# A gateway that is going


def closing_at_once(peer: Peer) -> None:
    """The challenge and the farewell in one segment: the client reads both before it answers."""
    peer.shake_hands()
    peer.protocol.send_text(json.dumps(captured("ws-sessions-list-idle")[0]["frame"]).encode())
    peer.protocol.send_close(1012, "service restart")
    peer.write(b"".join(peer.protocol.data_to_send()))


def test_a_gateway_that_closes_at_once_is_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(closing_at_once) as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        listing = run(["list", "--json"])
    assert listing.json()["sessions"] == []
    assert "it closed the connection with code 1012 (service restart)" in listing.stderr


# A log that tells of nothing but retries


def processor_time() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def seconds_for(log: Path) -> float:
    """The least of three readings."""
    spent = []
    for _ in range(3):
        start = processor_time()
        told = codex.result(codex_samples.session(native_id=NATIVE), str(log))
        spent.append(processor_time() - start)
        assert told.verdict is AgentVerdict.SILENT and told.tokens == Tokens()
        assert any("failed" in note and "times" in note for note in told.notes), told.notes
    return min(spent)
