"""Thirty-two lists run all the time while fifty sessions end: everything happens once.

Takes about twenty seconds: fifty agents end at one moment, each with a finalising call of
its own, against thirty-two processes that look without a pause.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    at_gate,
    begin,
    endings,
    finish,
    held,
    ledger,
    open_gate,
    processes_of,
    rows,
    snapshot,
)

LISTERS = 32
SESSIONS = 50
LISTER = (sys.executable, "-P", str(Path(__file__).with_name("busy_lister.py")))


@dataclass(slots=True)
class Receiver:
    """A webhook's far end on the loopback interface."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with turn:
                received.bodies.append(body)
                received.keys.append(self.headers["Idempotency-Key"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # as many as may come at once, or the kernel turns some away

    with Server(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield received
        server.shutdown()
        thread.join()


def launch_many(run: Run, tmp_path: Path, calls: Path) -> dict[str, Path]:
    """Sessions at their gates: id → directory. Every other one is going to fail."""
    hook = f'echo "$AGENTCTL_SESSION_ID $AGENTCTL_EXIT_CODE" >>{calls}'
    started = {}
    for number in range(SESSIONS):
        place = tmp_path / f"work-{number}"
        command = at_gate(place, code=number % 2)
        options = ["--settle", "0s", "--cwd", str(place), "--on-complete", hook]
        started[run(["launch", "exec", *options, "--", *command]).stdout.strip()] = place
    return started


def undelivered() -> str:
    """What the outbox still holds, for the reader of a failure."""
    with snapshot() as db:
        sql = """SELECT kind, name, attempts, next_attempt_at, claimed_until, last_error
            FROM outbox WHERE state != 'done'"""
        return "\n".join(str(tuple(row)) for row in db.connection.execute(sql))


def test_fifty_endings_under_thirty_two_lists_happen_once_each(
    tmp_path: Path,
    run: Run,
    wait_until: WaitUntil,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, done = tmp_path / "calls", tmp_path / "done"
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("no_proxy", "*")
    started = launch_many(run, tmp_path, calls)
    listers = [begin([str(done)], program=LISTER) for _ in range(LISTERS)]
    for place in started.values():
        open_gate(place)

    def all_is_told() -> None:
        told = {body["session_id"] for body in receiver.bodies}
        lines = calls.read_text().splitlines() if calls.exists() else []
        assert (len(told), len(lines)) == (SESSIONS, SESSIONS), undelivered()

    try:
        # A post that fails on a busy machine is tried again after 5 and after 15 seconds.
        wait_until(all_is_told, timeout=150)
    finally:
        done.touch()
        listed = [finish(each) for each in listers]
    assert [each.exit for each in listed] == [0] * LISTERS, "\n".join(map(str, listed))
    assert all(int(each.stdout) > 0 for each in listed)
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    run("reap")  # whatever is due, or due again, is delivered now

    codes = dict(line.split() for line in calls.read_text().splitlines())
    assert Counter(line.split()[0] for line in calls.read_text().splitlines()) == dict.fromkeys(started, 1)
    for session in rows():
        failed = session.outcome is Outcome.FAILED
        assert session.is_settled
        assert (session.exit_code, failed) in ((0, False), (1, True))
        assert codes[session.id] == str(session.exit_code)
        assert endings(session.id) == ["session.error" if failed else "session.stopped"]
        assert ledger(session.id).count("session.started") == 1
    assert len(rows()) == SESSIONS
    assert held() == []

    assert Counter(body["session_id"] for body in receiver.bodies) == dict.fromkeys(started, 1)
    assert {body["hook_type"] for body in receiver.bodies} == {"session.stopped"}
    assert set(Counter(body["event_id"] for body in receiver.bodies).values()) == {1}
    assert sorted(map(str, receiver.keys)) == sorted(body["event_id"] for body in receiver.bodies)
