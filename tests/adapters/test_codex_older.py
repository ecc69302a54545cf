"""Session files of codex's releases of 2025, whose turns have no ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import codex
from agentctl.adapters.base import NativeSession
from agentctl.core.model import AgentVerdict, Tokens
from tests.adapters.codex_samples import session

THREAD = "0199aaaa-1111-7222-8333-444455556666"
NAME = f"rollout-2025-10-01T10-00-00-{THREAD}.jsonl"
META = {"id": THREAD, "timestamp": "2025-10-01T10:00:00.000Z", "cwd": "/srv", "cli_version": "0.46.0"}
CONTEXT = "<environment_context>\\n<cwd>/srv</cwd>\\n</environment_context>"


def item(role: str, text: str) -> tuple[str, dict[str, Any]]:
    return "response_item", {"type": "message", "role": role, "content": [{"type": "text", "text": text}]}


def event(type_: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "event_msg", {"type": type_, **more}


def asks(text: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    return item("user", text), event("user_message", message=text, kind="plain")


def answers(text: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    return event("agent_message", message=text), item("assistant", text)


SETTINGS = ("turn_context", {"model": "gpt-5-codex", "cwd": "/srv", "sandbox_policy": {"mode": "read-only"}})
CALL = ("response_item", {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"})


def spent(count: int) -> tuple[str, dict[str, Any]]:
    return event("token_count", info={"total_token_usage": {"input_tokens": 100, "output_tokens": count}})


def one(tmp_path: Path, *records: tuple[str, dict[str, Any]]) -> NativeSession:
    path = tmp_path / "sessions" / "2025" / "10" / "01" / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = (("session_meta", META), item("user", CONTEXT), *records)
    lines = (
        {"timestamp": "2025-10-01T10:00:05.000Z", "type": kind, "payload": said} for kind, said in stored
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (native,) = codex.discover(str(path))
    return native


def test_an_answered_turn(tmp_path: Path) -> None:
    native = one(tmp_path, *asks("count"), SETTINGS, *answers("Seven."), spent(25))
    assert (native.title, native.model, native.cwd) == ("count", "gpt-5-codex", "/srv")
    assert (native.is_open, native.result.verdict, native.result.text) == (False, AgentVerdict.OK, "Seven.")
    assert native.tokens == Tokens(100, 25)


def test_the_settings_may_come_first(tmp_path: Path) -> None:
    assert one(tmp_path, SETTINGS, *asks("count"), *answers("Seven.")).model == "gpt-5-codex"


@pytest.mark.parametrize(
    "after",
    [(), (*answers("I look."), CALL), (*answers("Seven."), *asks("and now?"))],
    ids=["no answer", "a call", "another prompt"],
)
def test_an_unfinished_turn(tmp_path: Path, after: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    native = one(tmp_path, *asks("count"), SETTINGS, *after)
    assert (native.title, native.is_open) == ("count", True)


def test_an_aborted_turn(tmp_path: Path) -> None:
    native = one(tmp_path, *asks("count"), event("turn_aborted", reason="interrupted"))
    assert (native.is_open, native.result.verdict) == (False, AgentVerdict.ERROR)


def test_turns_that_are_begun_and_ended_without_ids(tmp_path: Path) -> None:
    begun = (event("task_started", model_context_window=1), *asks("count"))
    assert one(tmp_path, *begun).is_open
    ended = one(tmp_path, *begun, event("task_complete", last_agent_message="Seven."))
    assert (ended.title, ended.is_open, ended.result.text) == ("count", False, "Seven.")


def test_the_words_of_the_person_and_not_of_the_editor(tmp_path: Path) -> None:
    wrapped = "# Context from my IDE setup:\n\n## Active file: a.py\n\n## My request for Codex:\nfix it\n"
    assert one(tmp_path, *asks(wrapped)).title == "fix it"


def test_records_without_an_envelope(tmp_path: Path) -> None:
    """As releases before September 2025 wrote them."""
    path = tmp_path / NAME
    records = [{"id": THREAD, "timestamp": "2025-08-01T10:00:00.000Z"}, item("user", CONTEXT)[1]]
    records += [item("user", "count")[1], item("assistant", "Seven.")[1]]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    (native,) = codex.discover(str(path))
    assert (native.title, native.is_open, native.result.text) == ("count", False, "Seven.")


def test_the_conversation(tmp_path: Path) -> None:
    native = one(tmp_path, *asks("count"), SETTINGS, *answers("Seven."))
    row = session(native_id=THREAD, store_path=native.store_path)
    assert [(each.role, each.text) for each in codex.messages(row, "/nowhere")] == [
        ("user", "count"),
        ("assistant", "Seven."),
    ]
