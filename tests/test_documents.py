"""The JSON that other programs read: every key, in its order, whatever agents write."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta, timezone
from types import MappingProxyType

import pytest

from agentctl import documents
from agentctl.adapters.base import Message, Role
from agentctl.core.ledger import Event
from agentctl.core.model import Fuse, Outcome, Session, Status, Tokens, as_stored
from agentctl.ops.found import Found
from tests.rendering import HOSTILE, NOW, fuse, session, view

# fmt: off
KEYS = [
    "id", "name", "adapter", "source", "status", "outcome", "reason", "exit_code", "signal",
    "lingering", "unsupervised", "pid", "native_id", "parent_id", "resumed_from", "group", "cwd",
    "branch", "repo", "base_commit", "model", "prompt", "created_at", "started_at", "ended_at",
    "duration_ms", "fuse", "tokens", "cost_usd", "turns", "result", "notes",
    "log_path", "transcript_path", "adapter_version",
]


def document(
    of: Session, with_fuse: Fuse | None = None, log_path: str | None = None, **over: object
) -> dict[str, object]:
    found = Found(as_stored(of, with_fuse)._replace(**over), log_path)  # type: ignore[arg-type]
    made = documents.session_document(found, NOW)
    return dict(json.loads(documents.to_json(made)))


def test_a_session_document_has_every_key_in_order() -> None:
    assert list(document(session())) == KEYS


def test_a_live_session_document() -> None:
    made = document(session(), fuse(), log_path="/state/output.log", reason="process alive")
    assert made["status"] == "running"
    assert made["reason"] == "process alive"
    assert made["created_at"] == "2026-03-01T11:56:00.000Z"
    assert made["started_at"] == "2026-03-01T11:57:00.000Z"
    assert made["ended_at"] is None
    assert made["duration_ms"] == 180_000
    assert made["fuse"] == {"deadline": "2026-03-01T14:00:00.000Z", "action": "stop", "state": "armed"}
    assert made["tokens"] == {"input": None, "output": None, "cache_read": None, "cache_write": None}
    assert made["notes"] == []
    assert made["outcome"] is made["exit_code"] is made["cost_usd"] is None
    assert made["log_path"] == "/state/output.log"


def test_an_ended_session_document() -> None:
    ended = session(
        status=Status.ERROR,
        outcome=Outcome.TIMED_OUT,
        reason="blew its 2h fuse",
        exit_code=143,
        signal=15,
        ended_at=NOW - timedelta(minutes=2, milliseconds=1),
        tokens=Tokens(input=7, output=0),
        notes=("denied: Bash",),
        unsupervised=True,
    )
    made = document(ended)
    assert (made["status"], made["outcome"], made["exit_code"], made["signal"]) == (
        "error",
        "timed_out",
        143,
        15,
    )
    assert made["reason"] == "blew its 2h fuse"
    assert made["duration_ms"] == 59_999
    assert made["fuse"] is None
    assert made["tokens"] == {"input": 7, "output": 0, "cache_read": None, "cache_write": None}
    notes = made["notes"]
    assert isinstance(notes, list)
    assert notes[0] == "denied: Bash"
    assert notes[1].startswith("unsupervised")


def test_what_is_shown_beats_the_row() -> None:
    assert document(session(), shown=Status.STOPPING)["status"] == "stopping"


def test_durations_that_nobody_knows_are_null_and_none_is_negative() -> None:
    assert document(session(started_at=None))["duration_ms"] is None
    assert document(session(status=Status.STOPPED))["duration_ms"] is None
    assert document(session(started_at=NOW + timedelta(seconds=5)))["duration_ms"] == 0


def test_times_are_utc_whatever_the_zone() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert documents.timestamp(elsewhere) == "2026-03-01T12:00:00.000Z"
    assert documents.timestamp(None) is None


def test_sessions_come_in_one_document() -> None:
    made = json.loads(documents.document(sessions=[documents.session_document(view(), NOW)]))
    assert list(made) == ["schema_version", "sessions"]
    assert made["schema_version"] == 1
    assert made["sessions"][0]["id"] == session().id
    assert json.loads(documents.document(sessions=[])) == {"schema_version": 1, "sessions": []}


def test_an_event_is_one_line() -> None:
    data = MappingProxyType({"text": "two\nlines", "at": NOW})
    event = Event(
        cursor=7, type="session.started", session_id="a", at=NOW, actor="launch", reason=None, data=data
    )
    line = documents.event_line(event)
    assert "\n" not in line
    made = json.loads(line)
    assert list(made) == ["schema_version", "cursor", "type", "session_id", "at", "actor", "reason", "data"]
    assert made["at"] == "2026-03-01T12:00:00.000Z"
    assert made["data"] == {"text": "two\nlines", "at": "2026-03-01T12:00:00.000Z"}


def test_json_is_ascii_and_sound_whatever_an_agent_wrote() -> None:
    text = documents.document(
        said=HOSTILE, pair="\ud83d\ude00", tail="x\udcff", literal="\\ud83d", cost=float("nan"), grün=["日本"]
    )
    assert text.isascii()
    assert text.isprintable()
    made = json.loads(text)
    assert made["said"] == HOSTILE.replace("\ud83d", "\ufffd")
    assert made["pair"] == "😀"
    assert made["tail"] == "x\ufffd"
    assert made["literal"] == "\\ud83d"
    assert made["cost"] is None
    assert made["grün"] == ["日本"]
    text.encode("utf-8")
    documents.to_json(made)


def test_documents_take_values_as_they_are() -> None:
    said = Message(role=Role.ASSISTANT, text="hello", at=NOW)
    made = json.loads(documents.document(said=said._asdict(), lasts=timedelta(seconds=2), names={"b", "a"}))
    assert made["schema_version"] == 1
    assert made["said"]["at"] == "2026-03-01T12:00:00.000Z"
    assert made["said"]["text"] == "hello"
    assert made["lasts"] == 2000
    assert made["names"] == ["a", "b"]
    with pytest.raises(TypeError, match="object"):
        documents.document(what=object())


def test_json_does_not_import_tabulate() -> None:
    program = (
        "import sys; from agentctl import documents, render; documents.document(sessions=[]);"
        "assert 'tabulate' not in sys.modules;"
        "render.table(['A'], [['1']]); assert 'tabulate' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
