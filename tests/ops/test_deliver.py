"""Hooks really run and webhooks really posted: to receivers on the loopback, by real processes."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.model import Held
from agentctl.core.posts import ENDINGS
from agentctl.host import flock
from agentctl.host.paths import Paths
from agentctl.ops.reconcile import deliver
from agentctl.ops.reconcile.deliver import BACKOFF, Delivered
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import Database, reading, transaction
from tests.e2e.fault_tools import is_running

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "sésame"


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Receiver:
    """A real HTTP server: what it was sent, and how it answers (the last answer is repeated)."""

    port: int
    answers: list[int] = field(default_factory=lambda: [200])
    location: str | None = None
    hold: threading.Event | None = None
    """Answers only once this is set."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append((self.path, dict(self.headers), body))
            if received.hold is not None:
                received.hold.wait(20)
            answer = received.answers[min(len(received.requests), len(received.answers)) - 1]
            try:
                self.send_response(answer)
                if received.location is not None:
                    self.send_header("Location", received.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return  # whoever posted has given up

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield received
    finally:
        if received.hold is not None:
            received.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Post:
    """An invocation with a clock of its own, and the outbox it works on."""

    runtime: Runtime
    clock: Clock

    @property
    def db(self) -> Database:
        return self.runtime.state

    def queue(self, kind: str, target: str, *, payload: dict[str, Any], key: str = "key-1") -> int:
        with transaction(self.db):
            return outbox.enqueue(
                self.db,
                Delivery(
                    kind=DeliveryKind(kind),
                    name="on_complete" if kind == "hook" else "session.stopped",
                    target=target,
                    event_id=key,
                    payload=payload,
                    created_at=self.clock(),
                    session_id=None,
                ),
            )

    def hook(self, command: str, cwd: str | os.PathLike[str], key: str = "key-1", **env: str) -> int:
        return self.queue("hook", command, payload={"cwd": os.fspath(cwd), "env": env}, key=key)

    def webhook(self, url: str, key: str = "key-1") -> int:
        return self.queue("webhook", url, payload={"hook_type": "session.stopped", "n": 1}, key=key)

    def go(self) -> Delivered:
        return deliver.deliver(self.runtime, self.db)

    def row(self, number: int) -> Delivery:
        with reading(self.db):
            return next(row for row in outbox.list_all(self.db) if row.id == number)


@pytest.fixture
def post(sealed_home: Path) -> Iterator[Post]:
    clock = Clock()
    environ = {**os.environ, "AGENTCTL_WEBHOOK_SECRET": SECRET}
    runtime = Runtime(paths=Paths.from_environment(os.environ), environ=environ, clock=clock)
    yield Post(runtime, clock)
    runtime.close()


@pytest.fixture
def configure(sealed_home: Path) -> Callable[[str], None]:
    def write(text: str) -> None:
        sealed_home.mkdir(exist_ok=True, mode=0o700)
        (sealed_home / "config.toml").write_text(text)

    return write


def test_a_webhook_arrives_signed_under_all_three_names(post: Post, receiver: Receiver) -> None:
    number = post.webhook(receiver.url)
    assert post.go() == Delivered(done=1)
    ((path, headers, body),) = receiver.requests
    expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert path == "/hook"
    assert json.loads(body) == {"hook_type": "session.stopped", "n": 1}
    for name in ("X-Agentctl-Signature", "X-Signature", "X-Hub-Signature-256"):
        assert {key.lower(): value for key, value in headers.items()}[name.lower()] == expected
    row = post.row(number)
    assert (row.state, row.attempts, row.delivered_at) == (DeliveryState.DONE, 1, NOON)
    assert post.go() == Delivered()
    assert len(receiver.requests) == 1


def test_without_a_secret_nothing_is_signed(sealed_home: Path, receiver: Receiver) -> None:
    runtime = Runtime(paths=Paths.from_environment(os.environ), environ=dict(os.environ), clock=Clock())
    plain = Post(runtime, Clock())
    plain.webhook(receiver.url)
    assert plain.go() == Delivered(done=1)
    assert not [name for name in receiver.requests[0][1] if "signature" in name.lower()]
    runtime.close()


def test_a_failure_is_tried_again_after_its_back_off_and_with_the_same_key(
    post: Post, receiver: Receiver
) -> None:
    receiver.answers = [500, 503, 200]
    number = post.webhook(receiver.url, key="key-7")
    assert post.go() == Delivered(failed=1)
    row = post.row(number)
    assert (row.state, row.last_error) == (DeliveryState.PENDING, "the receiver answered 500")
    assert row.next_attempt_at == NOON + timedelta(seconds=BACKOFF[0])

    post.clock.at = NOON + timedelta(seconds=BACKOFF[0], microseconds=-1)
    assert post.go() == Delivered()
    post.clock.at = NOON + timedelta(seconds=BACKOFF[0])
    assert post.go() == Delivered(failed=1)
    assert post.row(number).next_attempt_at == post.clock.at + timedelta(seconds=BACKOFF[1])
    post.clock.at += timedelta(seconds=BACKOFF[1])
    assert post.go() == Delivered(done=1)

    row = post.row(number)
    assert (row.state, row.attempts, row.last_error) == (DeliveryState.DONE, 3, None)
    assert [headers["Idempotency-Key"] for _, headers, _ in receiver.requests] == ["key-7"] * 3
    assert len({body for _, _, body in receiver.requests}) == 1


def test_it_is_given_up_in_the_end_and_a_person_can_have_it_retried(post: Post, receiver: Receiver) -> None:
    receiver.answers = [*[500] * (len(BACKOFF) + 1), 200]
    number = post.webhook(receiver.url)
    for _ in range(len(BACKOFF) + 1):
        assert post.go() == Delivered(failed=1)
        post.clock.at += timedelta(hours=1)
    assert post.row(number).state is DeliveryState.FAILED
    post.clock.at += timedelta(days=30)
    assert post.go() == Delivered()
    claimed = deliver.claim_again(post.runtime, post.db, post.row(number))
    assert claimed is not None
    assert post.go() == Delivered(), "from the first moment it is in no other deliverer's reach"
    assert deliver.claim_again(post.runtime, post.db, claimed) is None
    assert deliver.attempt(post.runtime, post.db, claimed)
    assert post.row(number).state is DeliveryState.DONE


def test_a_receiver_beyond_the_limit_is_a_failure(
    post: Post, receiver: Receiver, configure: Callable[[str], None]
) -> None:
    configure('webhook.timeout = "200ms"\n')
    receiver.hold = threading.Event()
    number = post.webhook(receiver.url)
    assert post.go() == Delivered(failed=1)
    assert "timed out" in (post.row(number).last_error or "")


def test_a_dead_port_is_a_failure(post: Post) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    number = post.webhook(f"http://127.0.0.1:{port}/")
    assert post.go() == Delivered(failed=1)
    assert "refused" in (post.row(number).last_error or "").lower()


def test_a_redirect_is_not_followed(post: Post, receiver: Receiver) -> None:
    receiver.answers, receiver.location = [302], f"http://127.0.0.1:{receiver.port}/elsewhere"
    number = post.webhook(receiver.url)
    assert post.go() == Delivered(failed=1)
    assert [path for path, _, _ in receiver.requests] == ["/hook"]
    assert post.row(number).last_error == "the receiver answered 302"


def test_one_that_fails_does_not_hold_up_the_others(post: Post, receiver: Receiver, tmp_path: Path) -> None:
    post.webhook("ftp://127.0.0.1/", key="a")
    post.hook("exit 1", tmp_path, key="b")
    last = post.webhook(receiver.url, key="c")
    assert post.go() == Delivered(done=1, failed=2)
    assert post.row(last).state is DeliveryState.DONE


def test_a_hook_runs_in_its_directory_with_its_variables(post: Post, tmp_path: Path) -> None:
    post.runtime = Runtime(
        paths=post.runtime.paths,
        environ={**os.environ, "AGENTCTL_SET_X": "leaked", "AGENTCTL_SHIM": "leaked"},
        clock=post.clock,
    )
    number = post.hook(
        'pwd; echo "$AGENTCTL_OUTCOME $AGENTCTL_HOOK ${AGENTCTL_SET_X-unset} ${AGENTCTL_SHIM-unset}"'
        "; read x; echo $?",
        tmp_path,
        AGENTCTL_OUTCOME="succeeded",
    )
    assert post.go() == Delivered(done=1)
    assert post.row(number).output == f"{tmp_path.resolve()}\nsucceeded 1 unset unset\n1\n"
    post.runtime.close()


def test_a_hook_that_fails_keeps_what_it_printed_and_is_not_run_again(post: Post, tmp_path: Path) -> None:
    number = post.hook("echo run >>runs; echo to-stderr >&2; exit 3", tmp_path)
    assert post.go() == Delivered(failed=1)
    row = post.row(number)
    assert (row.state, row.last_error, row.output) == (DeliveryState.FAILED, "exit 3", "to-stderr\n")
    post.clock.at += timedelta(days=1)
    assert post.go() == Delivered()
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_hook_is_ended_at_its_limit_with_what_it_started(
    post: Post, tmp_path: Path, configure: Callable[[str], None], wait_until: Callable[..., Any]
) -> None:
    configure('hooks.timeout = "300ms"\n')
    number = post.hook("sleep 60 & echo $! >child; wait", tmp_path)
    assert post.go() == Delivered(failed=1)
    assert post.row(number).last_error == "ended at its limit of 0.3 s"
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child))


def test_a_hook_without_its_directory_is_a_failure(post: Post, tmp_path: Path) -> None:
    number = post.hook("true", tmp_path / "gone")
    assert post.go() == Delivered(failed=1)
    assert "gone" in (post.row(number).last_error or "")


DELIVER = """
from agentctl.runtime import Runtime
from agentctl.ops.reconcile.deliver import deliver
runtime = Runtime.from_environment()
print(deliver(runtime, runtime.state).done)
"""


def test_ten_deliverers_at_once_run_each_hook_once(post: Post, tmp_path: Path) -> None:
    for number in range(6):
        post.hook(f"echo {number} >>runs", tmp_path, key=f"key-{number}")
    argv = [sys.executable, "-P", "-c", DELIVER]
    crowd = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(10)]
    done = [int(one.communicate(timeout=60)[0]) for one in crowd]
    assert sum(done) == 6
    assert sorted((tmp_path / "runs").read_text().split()) == list("012345")


def test_a_hook_that_went_down_with_the_machine_is_run_again_once_its_claim_expires(
    post: Post, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    number = post.hook(
        "if [ -e first ]; then echo attempt $AGENTCTL_ATTEMPT; exit; fi\n"
        "echo $$ $PPID >first.new; mv first.new first; exec sleep 60",
        tmp_path,
    )
    victim = subprocess.Popen([sys.executable, "-P", "-m", "agentctl", "_deliver"])
    first = tmp_path / "first"
    wait_until(first.exists)
    victim.send_signal(signal.SIGKILL)
    victim.wait(10)
    hook, keeper = map(int, first.read_text().split())
    os.kill(keeper, signal.SIGKILL)
    os.kill(hook, signal.SIGKILL)
    lock = Path(post.runtime.paths.state) / "hooks" / "key-1.on_complete.lock"
    wait_until(lambda: flock.probe(str(lock)) is Held.NO)
    wait_until(lambda: not is_running(hook))

    claimed = post.row(number)
    assert (claimed.state, claimed.attempts) == (DeliveryState.PENDING, 1)
    assert claimed.claimed_until is not None
    post.clock.at = claimed.claimed_until - timedelta(microseconds=1)
    assert post.go() == Delivered()
    post.clock.at = claimed.claimed_until
    assert post.go() == Delivered(done=1)
    row = post.row(number)
    assert (row.state, row.attempts, row.output) == (DeliveryState.DONE, 2, "attempt 2\n")


def ended_posts(receiver: Receiver) -> list[dict[str, Any]]:
    bodies = [json.loads(body) for _, _, body in receiver.requests]
    return [body for body in bodies if body["event"] in ENDINGS]


def test_a_known_exit_code_is_posted_as_it_is(
    run: Callable[..., Any],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., Any],
) -> None:
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", receiver.url)
    run("launch exec --settle 0 -- sh -c 'exit 3'")
    wait_until(lambda: ended_posts(receiver))
    body = ended_posts(receiver)[0]
    assert (body["exit_status"], body["exit_code"], body["outcome"]) == (3, 3, "failed")
    assert (body["hook_type"], body["event"], body["adapter"]) == ("session.stopped", "session.error", "exec")
    assert set(body) >= {"session_id", "cwd", "duration_seconds", "summary", "meta", "timestamp", "event_id"}


def test_callbacks_go_along_with_every_webhook_also_of_a_rerun(
    run: Callable[..., Any],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., Any],
) -> None:
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", receiver.url)
    words = ["--callback-session", "agent:main:main", "--callback-agent", "main"]
    first = run(["launch", "exec", "--settle", "0", *words, "--", "true"]).stdout.strip()
    wait_until(lambda: ended_posts(receiver))
    run(["rerun", first, "--settle", "0", "--callback-agent", "other"])
    wait_until(lambda: len(ended_posts(receiver)) == 2)
    called = [
        (body["meta"]["openclaw_callback_session_key"], body["meta"]["openclaw_callback_agent_id"])
        for body in ended_posts(receiver)
    ]
    assert called == [("agent:main:main", "main"), ("agent:main:main", "other")]


def test_an_unknown_exit_code_is_not_posted_as_a_success(
    run: Callable[..., Any],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    sealed_home: Path,
    wait_until: Callable[..., Any],
) -> None:
    monkeypatch.setenv("AGENTCTL_WEBHOOK_URL", receiver.url)
    session_id = run("launch exec -- sleep 60").stdout.strip()
    agent = psutil.Process(int((sealed_home / "sessions" / session_id / "pid").read_text().split()[0]))
    shim = next(one for one in agent.parents() if one.environ().get("AGENTCTL_SHIM") == session_id)
    family = [shim, *shim.children(recursive=True)]
    for one in family:
        one.kill()
    psutil.wait_procs(family, timeout=5)
    run("reap", exit=None)
    wait_until(lambda: ended_posts(receiver))
    body = ended_posts(receiver)[0]
    assert (body["exit_status"], body["exit_code"], body["outcome"]) == (1, None, "lost")
    assert body["session_id"] == session_id
