"""A hook runs once, in its own place: nobody misses it, repeats it or takes it elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.model import Status
from agentctl.ops.reconcile import deliver
from agentctl.ops.reconcile.deliver import Delivered
from agentctl.runtime import Runtime
from agentctl.store import outbox, sessions
from agentctl.store.db import Database, reading, transaction
from tests.conftest import Run, WaitUntil
from tests.git_tools import make_repository
from tests.planting import NOON, Field, field_in, write_exit


@pytest.fixture
def place(sealed_home: Path) -> Iterator[Field]:
    with field_in(sealed_home) as field:
        yield field


@pytest.fixture
def runtime(place: Field) -> Iterator[Runtime]:
    made = Runtime(paths=place.paths, environ=dict(os.environ))
    yield made
    made.close()


def queue(runtime: Runtime, command: str, cwd: Path, *, key: str = "key") -> int:
    payload = {"cwd": str(cwd), "env": {}}
    hook = Delivery(DeliveryKind.HOOK, "on_complete", command, key, payload, runtime.now)
    with transaction(runtime.state):
        return outbox.enqueue(runtime.state, hook)


def rows(runtime: Runtime) -> dict[int, Delivery]:
    with reading(runtime.state):
        return {row.id: row for row in outbox.list_all(runtime.state)}


def test_what_is_queued_while_the_deliverer_leaves_is_delivered(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever queues it finds the lock held and starts no deliverer: this one must look again."""
    real = deliver.deliver
    queued: list[int] = []

    def and_then_another_queues(runtime: Runtime, db: Database, *, tried: set[deliver.Try]) -> Delivered:
        delivered = real(runtime, db, tried=tried)
        if not queued:
            queued.append(queue(runtime, "echo run >>runs", tmp_path))
            deliver.start_deliverer(runtime)
        return delivered

    monkeypatch.setattr(deliver, "deliver", and_then_another_queues)
    assert deliver.deliver_alone(runtime, runtime.state) == Delivered(done=1)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_hook_whose_worktree_is_gone_does_not_run_in_the_main_checkout(
    runtime: Runtime, place: Field, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "main").mkdir()
    planted = place.plant(
        cwd=str(tmp_path / "gone"), repo=str(tmp_path / "main"), hooks={"on_complete": "touch harm"}
    )
    write_exit(place.directory(planted.id), "0", NOON)
    run("reap", exit=None)
    (row,) = rows(runtime).values()
    assert row.state is DeliveryState.FAILED
    assert "gone" in (row.last_error or "")
    assert not (tmp_path / "main" / "harm").exists()


def test_a_set_up_hook_of_a_launch_that_was_rolled_back_is_never_run_again(
    run: Run, runtime: Runtime, tmp_path: Path
) -> None:
    repo = make_repository(tmp_path / "repo")
    words = ["launch", "exec", "--worktree", str(repo), "--branch", "b", "--on-create", "pwd >>~/ran; exit 1"]
    run([*words, "--", "true"], exit=1)
    ran = (Path.home() / "ran").read_text()
    (created,) = (row for row in rows(runtime).values() if row.name == "on_create")
    assert "never retried" in run(f"hooks retry {created.id}", exit=1).stderr
    run("hooks retry --all", exit=None)
    assert (Path.home() / "ran").read_text() == ran
    assert rows(runtime)[created.id].attempts == 1
    assert "hooks or webhooks were given up" not in run("doctor", exit=None).stdout


def test_an_end_that_is_recorded_again_after_a_rebuild_repeats_no_hook(
    run: Run, place: Field, runtime: Runtime, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Killed between the commit and the manifest, and then the table was damaged."""
    words = ["launch", "exec", "--cwd", str(tmp_path), "--on-complete", "echo run >>runs", "--", "true"]
    session_id = run(words).stdout.strip()
    wait_until(lambda: [row.state for row in rows(runtime).values()] == [DeliveryState.DONE])
    (before,) = rows(runtime).values()
    with transaction(runtime.state):
        ended = sessions.get(runtime.state, session_id)
        assert ended is not None
        sessions.update(
            runtime.state, ended._replace(status=Status.RUNNING, outcome=None, ended_at=None, exit_code=None)
        )
    run("reap")
    (after,) = rows(runtime).values()
    assert (after.id, after.event_id, after.attempts) == (before.id, before.event_id, 1)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_events_of_one_session_have_different_ids_and_always_the_same() -> None:
    from agentctl.core.ids import event_id

    found: Set[str] = {event_id(one, what) for one in ("a", "b") for what in ("ended", "session.gone")}
    assert len(found) == 4
    assert event_id("a", "ended") in found
