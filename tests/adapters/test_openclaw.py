"""OpenClaw: what a gateway's captured answers become, also through the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import openclaw
from agentctl.adapters.base import CommandRequest, Message
from agentctl.adapters.openclaw import gateway as asking
from agentctl.adapters.openclaw import rows
from agentctl.core.model import AgentVerdict, Outcome, Status
from agentctl.errors import AdapterUnavailable
from agentctl.ops.external import cache as natives
from tests.adapters.openclaw_runs import (
    ADDRESS,
    INCIDENT,
    INSTALL,
    MAIN,
    RUNNING,
    SLOW,
    discovered,
    session,
    use,
)
from tests.adapters.openclaw_runs import no_real_gateway as no_real_gateway
from tests.conftest import Run
from tests.fake_gateway import (
    TOKEN,
    FakeGateway,
    answer_in,
    gateway,
)


def test_finished_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        found = discovered(running, monkeypatch)
    assert list(found) == [INCIDENT, MAIN]
    one = found[INCIDENT]
    assert (one.title, one.model, one.cwd) == ("incident-42", "mock/ok", None)
    assert one.standing == (Status.STOPPED, Outcome.SUCCEEDED, "the gateway says that its last run is done")
    assert (one.tokens.input, one.tokens.output, one.tokens.cache_read) == (80, 7, None)
    assert one.result.verdict is AgentVerdict.OK
    assert one.created_at == datetime(2026, 11, 22, 6, 22, 1, 67000, UTC)
    assert one.updated_at == datetime(2026, 11, 22, 6, 22, 1, 537000, UTC)


def test_a_running_session_by_its_active_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(capture=RUNNING) as running:
        found = discovered(running, monkeypatch)
    assert {key: one.standing and one.standing.status for key, one in found.items()} == {
        SLOW: Status.RUNNING,
        INCIDENT: Status.STOPPED,
        MAIN: Status.STOPPED,
    }
    assert found[SLOW].is_open
    assert found[SLOW].tokens == (None, None, None, None)


def test_it_asks_to_read_and_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        discovered(running, monkeypatch)
    connect, listed = running.asked
    assert connect["params"]["scopes"] == ["operator.read"]
    assert connect["params"]["auth"] == {"token": TOKEN}
    assert "device" not in connect["params"]
    assert listed["method"] == "sessions.list"


def test_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = answer_in(RUNNING, "sessions.list")["payload"]["sessions"][0]
    with gateway() as running:
        running.page = 2
        running.rows = [{**sample, "sessionId": f"s{number}"} for number in range(5)]
        assert list(discovered(running, monkeypatch)) == ["s0", "s1", "s2", "s3", "s4"]
        assert running.methods == ["connect", *["sessions.list"] * 3]
        running.rows *= 10
        discovered(running, monkeypatch)
        assert running.methods.count("sessions.list") == 3 + asking.PAGES


DONE = {"sessionId": "s", "updatedAt": 1795328521540, "hasActiveRun": False}


@pytest.mark.parametrize(
    ("row", "status", "outcome"),
    [
        ({"status": "done"}, Status.STOPPED, Outcome.SUCCEEDED),
        ({"status": "done", "hasActiveRun": True}, Status.RUNNING, None),
        ({"status": "failed"}, Status.ERROR, Outcome.FAILED),
        ({"status": "timeout"}, Status.ERROR, Outcome.FAILED),
        ({"status": "killed"}, Status.STOPPED, Outcome.CANCELLED),
        ({"status": "interrupted"}, Status.STOPPED, Outcome.CANCELLED),
        ({"status": "done", "abortedLastRun": True}, Status.STOPPED, Outcome.CANCELLED),
        ({"status": "failed", "abortedLastRun": True}, Status.ERROR, Outcome.FAILED),
        ({"status": "queued"}, Status.STARTING, None),
        ({"status": "running"}, Status.STOPPED, Outcome.LOST),
        ({"status": "running", "hasActiveRun": None}, Status.RUNNING, None),
        ({}, Status.IDLE, None),
        ({"archived": True}, Status.STOPPED, None),
        ({"status": "of a later release"}, Status.IDLE, None),
        ({"status": {}}, Status.IDLE, None),
    ],
)
def test_what_a_row_proves(row: dict[str, Any], status: Status, outcome: Outcome | None) -> None:
    one = rows.native(DONE | row, {}, ADDRESS)
    assert one is not None
    assert one.standing is not None
    assert one.standing[:2] == (status, outcome)
    assert one.standing.reason


@pytest.mark.parametrize("row", [{"status": "done"}, {"hasActiveRun": True}])
def test_what_is_proved_survives_being_kept(row: dict[str, Any]) -> None:
    one = rows.native(DONE | row, {}, ADDRESS)
    assert one is not None
    assert natives._decode(json.loads(json.dumps(natives._encode(one)))) == one


def test_rows_of_any_shape_are_read_or_left_out() -> None:
    assert rows.native({}, {}, ADDRESS) is None
    assert rows.native({"sessionId": "s"}, {}, ADDRESS) is None
    assert rows.native({"sessionId": 1, "key": None, "updatedAt": 1}, {}, ADDRESS) is None
    one = rows.native(
        {"key": "agent:main:x", "updatedAt": 1795328521540, "createdAt": "x", "model": 1, "inputTokens": "9"},
        {"model": "ok", "modelProvider": "mock"},
        ADDRESS,
    )
    assert one is not None
    assert (one.native_id, one.model, one.tokens.input, one.title) == ("agent:main:x", "mock/ok", None, None)
    assert one.created_at == one.updated_at


def test_what_a_session_has_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        use(running, monkeypatch)
        said = [(one.role, one.text) for one in openclaw.messages(session(running, MAIN), "")]
        assert said == [
            ("user", "Hello there, list my files"),
            ("assistant", "Hello from mock; prompt chars=220"),
        ]
        assert list(openclaw.messages(session(running, "unknown"), "")) == []
        assert list(openclaw.messages(session(running, None), "")) == []


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a listing: what a gateway tells without it takes a running session for a finished one."""
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with gateway(capture=RUNNING) as running:
        use(running, monkeypatch)
        for ask in (lambda: openclaw.discover(running.address), lambda: said_in(running)):
            with pytest.raises(AdapterUnavailable, match="needs the package websockets") as caught:
                list(ask())
            assert caught.value.hint == INSTALL
        assert running.asked == []


def said_in(running: FakeGateway) -> Iterator[Message]:
    return openclaw.messages(session(running, MAIN), "")


def test_it_launches_nothing() -> None:
    with pytest.raises(AdapterUnavailable, match="read-only"):
        openclaw.launch_command(CommandRequest(session_id="x", cwd="/", prompt="x"))


def test_it_is_listed_beside_the_others(run: Run) -> None:
    with gateway(capture=RUNNING) as running:
        live = run("list --json", env=running.environ)
        (one,) = live.json()["sessions"]
        assert live.stderr == ""
        assert (one["adapter"], one["source"], one["status"]) == ("openclaw", "external", "running")
        assert (one["native_id"], one["pid"], one["prompt"]) == (SLOW, None, "slowrun")
        assert one["reason"] == "the gateway is running it"
        assert one["ended_at"] is None

        every = run("list -a --since 2026-01-01 --json", env=running.environ).json()["sessions"]
        assert [each["native_id"] for each in every] == [SLOW, INCIDENT, MAIN]
        assert "slowrun" in run("list", env=running.environ).stdout
        assert TOKEN not in json.dumps(every)

        (shown,) = run(f"status --json {one['id']}", env=running.environ).json()["sessions"]
        assert (shown["id"], shown["status"]) == (one["id"], "running")
        assert run(f"status {SLOW[:8]}", env=running.environ).exit == 0


def test_what_cannot_be_done_with_it_is_said(run: Run) -> None:
    with gateway(capture=RUNNING) as running:
        stopped = run(f"stop {SLOW}", exit=11, env=running.environ)
        assert "the gateway is running it" in stopped.stderr
        assert "end it where it was started" in stopped.stderr
        assert "still running" in run(["resume", SLOW, "go on"], exit=11, env=running.environ).stderr
        assert "cannot resume" in run(["resume", MAIN, "go on"], exit=12, env=running.environ).stderr
        assert "not launched by agentctl" in run(f"rerun {MAIN}", exit=2, env=running.environ).stderr
        assert "read-only" in run("launch openclaw -p hi", exit=12, env=running.environ).stderr
    with gateway() as running:
        assert run(f"peek {MAIN}", env=running.environ).stdout == "Hello from mock; prompt chars=220\n"


def test_nothing_of_the_token_is_kept(run: Run, sealed_home: Path) -> None:
    with gateway(capture=RUNNING) as running:
        run("list", env=running.environ)
    kept = [path for path in sealed_home.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
