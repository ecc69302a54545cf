"""Records of the TypeScript agentctl as our values: nothing made up, nothing hostile let in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentctl.core.legacy import fuses_of, lock_of, session_of
from agentctl.core.model import FuseAction, Outcome, Session, Status

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def record(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": "abc",
        "adapter": "claude-code",
        "status": "stopped",
        "startedAt": "2026-03-01T10:00:00.500Z",
        "cwd": "/project",
        "meta": {},
    }
    return {name: value for name, value in (values | changes).items() if value is not ...}


def made(key: str = "abc", **changes: Any) -> Session:
    return session_of(key, record(**changes), saved_at=NOON)


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        ("running", None, Outcome.LOST),
        ("running", 0, Outcome.LOST),
        ("idle", None, Outcome.LOST),
        ("stopped", None, Outcome.LOST),
        ("stopped", 0, Outcome.SUCCEEDED),
        ("stopped", 2, Outcome.FAILED),
        ("error", None, Outcome.FAILED),
        ("failed", 1, Outcome.FAILED),
        ("completed", None, Outcome.SUCCEEDED),
        ("completed", 3, Outcome.FAILED),
    ],
)
def test_an_ending_is_what_the_record_proves(status: str, code: int | None, outcome: Outcome) -> None:
    session = made(status=status, exitCode=code)
    assert session.outcome is outcome
    assert session.exit_code == code
    assert session.status is (Status.STOPPED if outcome is Outcome.SUCCEEDED else Status.ERROR)
    assert session.reason


def test_all_that_is_said_is_kept() -> None:
    session = made(
        stoppedAt="2026-03-01T11:00:00.000+01:00",
        model="opus",
        prompt="Do it",
        group="g-a1b2c3",
        tokens={"in": 12, "out": 3},
        cost=0.5,
        exitCode=143,
    )
    assert session.started_at == datetime(2026, 3, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    assert session.ended_at == session.started_at, "an end before the start is the start"
    assert (session.model, session.requested_model, session.prompt) == ("opus", "opus", "Do it")
    assert (session.group, session.tokens.input, session.tokens.output) == ("g-a1b2c3", 12, 3)
    assert (session.cost_usd, session.exit_code, session.signal) == (0.5, 143, 15)
    assert session.pid is None
    assert session.start_token is None


def test_an_end_that_nobody_wrote_down_is_when_it_was_last_known_of() -> None:
    assert made().ended_at == NOON


def test_the_id_is_the_same_every_time_and_another_for_another() -> None:
    ids = {made().id, made("abd").id, made(adapter="codex").id}
    assert len(ids) == 3
    assert made().id in ids


@pytest.mark.parametrize(
    ("adapter", "key", "native"),
    [
        ("claude-code", "abc", "abc"),
        ("codex", "abc", "abc"),
        ("opencode", "ses_1", "ses_1"),
        ("opencode", "0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001", None),
        ("slate", "abc", None),
    ],
)
def test_only_the_agents_own_id_becomes_the_native_id(adapter: str, key: str, native: str | None) -> None:
    assert made(key, adapter=adapter).native_id == native


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "exploded"},
        {"status": ...},
        {"status": ["running"]},
        {"startedAt": ...},
        {"startedAt": "yesterday"},
        {"startedAt": "2026-03-01T10:00:00"},
        {"startedAt": 1_772_000_000},
        {"startedAt": "0001-01-01T00:00:00+14:00"},
        {"stoppedAt": "9999-12-31T23:59:59-14:00"},
        {"cwd": ...},
        {"cwd": "project"},
        {"cwd": "/a\0b"},
        {"adapter": ""},
        {"adapter": 7},
    ],
)
def test_a_record_that_cannot_be_taken_says_why(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^its? "):
        made(**changes)


@pytest.mark.parametrize("junk", [None, [], "text", 3])
def test_what_is_no_record(junk: Any) -> None:
    for read in (lock_of, lambda value: fuses_of(value, now=NOON)):
        with pytest.raises(ValueError, match="not an object"):
            read(junk)
    with pytest.raises(ValueError, match="not an object"):
        session_of("x", junk, saved_at=NOON)


@pytest.mark.parametrize("number", ["7", True, float("nan"), float("inf"), 1e300, None, [], {}])
def test_numbers_that_are_none_are_not_known(number: Any) -> None:
    session = made(tokens={"in": number}, cost=number, exitCode=number)
    assert (session.tokens.input, session.cost_usd, session.exit_code) == (None, None, None)
    assert made(tokens=number).tokens.input is None


def test_a_manual_lock() -> None:
    values = {"directory": "/d", "lockedBy": "ada", "reason": "", "lockedAt": "2026-03-01T10:00:00Z"}
    lock = lock_of(values)
    assert (lock.directory, lock.holder, lock.reason) == ("/d", "ada", None)
    assert lock.locked_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    bare = lock_of({"type": "manual", "directory": "/d", "lockedAt": "?"})
    assert (bare.holder, bare.locked_at) == ("unknown", None)
    with pytest.raises(ValueError, match="session of the daemon"):
        lock_of({**values, "type": "auto"})


def test_a_fuse_for_each_of_its_actions() -> None:
    timer = {"directory": "/d", "expiresAt": "2026-03-01T12:00:01Z", "sessionId": "x", "ttlMs": 1}
    (event,) = fuses_of(timer, now=NOON)
    assert (event.action, event.deadline) == (FuseAction.EVENT, NOON + timedelta(seconds=1))
    both = fuses_of(
        {**timer, "onExpire": {"script": "make", "webhook": "https://x.org", "event": "e"}}, now=NOON
    )
    assert [(fuse.action, fuse.command, fuse.url) for fuse in both] == [
        (FuseAction.SCRIPT, "make", None),
        (FuseAction.WEBHOOK, None, "https://x.org"),
    ]
    assert len({fuse.id for fuse in (event, *both)}) == 3
    assert fuses_of(timer, now=NOON)[0].id == event.id
    with pytest.raises(ValueError, match="has passed"):
        fuses_of(timer, now=NOON + timedelta(seconds=1))
    with pytest.raises(ValueError, match="not a valid address"):
        fuses_of({**timer, "onExpire": {"webhook": "ftp://x"}}, now=NOON)
