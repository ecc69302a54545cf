"""Deliveries that go wrong in ways of their own: none holds up, repeats or confuses another."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core import variables
from agentctl.core.effects import AppendEvent, PostWebhook, RunHook
from agentctl.core.ids import new_id
from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.model import Identity
from agentctl.host import http, keeper, process_tree, processes, shell
from agentctl.host.clock import utcnow
from agentctl.host.process_tree import Whose
from agentctl.ops.reconcile import deliver
from agentctl.ops.reconcile.deliver import Delivered
from agentctl.ops.reconcile.effects import record_effects
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import transaction
from tests.conftest import WaitUntil
from tests.ops.delivering import rows
from tests.planting import NOON, Field, without_descriptors


def queue_hook(runtime: Runtime, command: str, cwd: Path, **variables: str) -> int:
    payload: dict[str, Any] = {"cwd": str(cwd), "env": variables}
    with transaction(runtime.state):
        return outbox.enqueue(
            runtime.state,
            Delivery(
                kind=DeliveryKind.HOOK,
                name="on_complete",
                target=command,
                event_id=new_id(),
                payload=payload,
                created_at=runtime.now,
                session_id=None,
            ),
        )


@pytest.mark.parametrize("poison", ["a\0b", "a\ud800b"], ids=["NUL", "lone surrogate"])
def test_a_payload_that_no_environment_can_hold_fails_alone(
    poison: str, runtime: Runtime, tmp_path: Path
) -> None:
    poisoned = queue_hook(runtime, "true", tmp_path, AGENTCTL_MODEL=poison)
    after = queue_hook(runtime, "echo delivered >next", tmp_path)
    assert deliver.deliver(runtime, runtime.state) == Delivered(done=1, failed=1)
    left = rows(runtime)
    assert (left[poisoned].state, left[after].state) == (DeliveryState.FAILED, DeliveryState.DONE)
    assert "cannot start" in (left[poisoned].last_error or "")
    assert (tmp_path / "next").read_text() == "delivered\n"


def test_a_hook_that_could_not_begin_is_tried_again(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = queue_hook(runtime, "echo run >>runs", tmp_path)
    real = keeper.run

    def starved(*arguments: Any, **named: Any) -> shell.Ran | None:
        with without_descriptors():
            return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(keeper, "run", starved)
        assert deliver.deliver(runtime, runtime.state) == Delivered(failed=1)
    row = rows(runtime)[queued]
    assert (row.state, row.attempts) == (DeliveryState.PENDING, 1)

    later = Runtime(paths=runtime.paths, environ=runtime.environ, clock=lambda: utcnow() + timedelta(days=1))
    assert deliver.deliver(later, later.state) == Delivered(done=1)
    later.close()
    assert (tmp_path / "runs").read_text() == "run\n"


def test_the_on_create_hook_of_a_killed_launcher_is_not_run_again(
    runtime: Runtime, tmp_path: Path, wait_until: WaitUntil
) -> None:
    hook = "echo run >>runs; [ -e hook ] || { echo $$ >new; mv new hook; exec sleep 60; }"
    words = ["launch", "exec", "--cwd", str(tmp_path), "--on-create", hook, "--", "true"]
    launcher = subprocess.Popen([sys.executable, "-P", "-m", "agentctl", *words])
    wait_until((tmp_path / "hook").exists)
    launcher.kill()
    launcher.wait(10)
    os.kill(int((tmp_path / "hook").read_text()), signal.SIGKILL)

    later = Runtime(paths=runtime.paths, environ=runtime.environ, clock=lambda: utcnow() + timedelta(days=1))
    assert deliver.deliver(later, later.state) == Delivered()
    later.close()
    (row,) = rows(runtime).values()
    assert (row.name, row.state, row.attempts) == ("on_create", DeliveryState.FAILED, 1)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_two_events_of_one_verdict_have_keys_of_their_own(field: Field) -> None:
    """A receiver that drops what it has seen by its key must not drop the second event."""
    session = field.plant()._replace(hooks={"on_complete": "true"})
    environ = {**os.environ, "AGENTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    Path(field.paths.config_file).write_text('webhook.events = ["session.*"]\n')
    runtime = Runtime(paths=field.paths, environ=environ)
    effects = (
        AppendEvent("session.started", "found running"),
        PostWebhook("session.started"),
        AppendEvent("session.stopped", "exit 0"),
        RunHook("on_complete"),
        PostWebhook("session.stopped"),
    )
    with transaction(runtime.state):
        assert record_effects(runtime, runtime.state, session, effects, NOON) == 3
    ended_post, ended_hook, started_post = rows(runtime).values()
    runtime.close()
    assert (started_post.name, ended_post.name) == ("session.started", "session.stopped")
    assert started_post.event_id != ended_post.event_id
    assert ended_hook.event_id == ended_post.event_id
    assert ended_post.payload["event_id"] == ended_post.event_id
    assert started_post.payload["event_id"] == started_post.event_id


def test_a_deliverer_that_an_agents_tool_started_is_no_part_of_the_agents_tree(
    field: Field, tmp_path: Path, wait_until: WaitUntil
) -> None:
    session_id = new_id()
    environ = {**os.environ, variables.SESSION_ID: session_id}
    agent = processes.token_of(os.getpid()) or ""
    whose = Whose(session_id, field.paths.sessions, agent=Identity(0, agent))
    tool = subprocess.Popen(["sleep", "60"], env=environ)
    runtime = Runtime(paths=field.paths, environ=environ)
    try:
        queue_hook(runtime, "echo $PPID $$ >new; mv new who; exec sleep 60", tmp_path)
        deliver.start_deliverer(runtime)
        wait_until((tmp_path / "who").exists)
        deliverer, hook = (psutil.Process(int(word)) for word in (tmp_path / "who").read_text().split())
        assert deliverer.environ()[variables.SESSION_ID] == session_id
        wait_until(lambda: tool.pid in {target.pid for target in process_tree.snapshot(whose)})
        found = {target.pid for target in process_tree.snapshot(whose)}
        assert found == {tool.pid}
        hook.kill()
        wait_until(lambda: [row.state for row in rows(runtime).values()] == [DeliveryState.FAILED])
    finally:
        runtime.close()
        tool.kill()
        tool.wait()


@dataclass
class Trickle:
    """A receiver that answers at once and then sends a byte of the body every tenth of a second."""

    url: str
    sent: int = 0


SLOW_BODY = 60


@contextmanager
def trickling() -> Iterator[Trickle]:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Trickle(f"http://127.0.0.1:{listening.getsockname()[1]}/")

        def answer() -> None:
            peer, _ = listening.accept()
            with peer, suppress(OSError):
                request = b""
                while not request.endswith(b"{}"):
                    request += peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while made.sent < SLOW_BODY and not over.wait(0.1):
                    peer.sendall(b"x")
                    made.sent += 1

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield made
        finally:
            over.set()
            thread.join()


def test_a_body_that_trickles_in_does_not_hold_a_post_beyond_its_limit() -> None:
    with trickling() as receiver:
        posted = http.post(receiver.url, b"{}", headers={}, secret=None, limit=1)
        sent = receiver.sent
    assert sent < SLOW_BODY // 2, "the post waited for the body"
    assert posted.error is None
