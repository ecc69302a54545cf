"""The calls that a shim makes: they record the end although others write to the row meanwhile."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from agentctl.adapters import exec, registry
from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.core.model import FuseAction, Outcome, Result, Session, Status
from agentctl.host.clock import utcnow
from agentctl.ops.sessions.reap import finalise, reap
from agentctl.runtime import Runtime
from agentctl.store import events, outbox, sessions
from agentctl.store.db import transaction
from tests.conftest import RunReal, WaitUntil
from tests.planting import NOON, Field, make_fuse, write_exit


def test_an_end_is_recorded_although_the_launcher_records_the_start_meanwhile(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row moves on between the finalising call's look and its write, as when a launcher is slow."""
    planted = field.plant(adapter="interfering", status=Status.STARTING, started_at=None, pid=None)
    write_exit(field.directory(planted.id), "0", NOON)
    looks = 0

    def result(session: Session, log_path: str) -> Result:
        nonlocal looks
        looks += 1
        if looks == 1:
            with field.database() as db, transaction(db):
                sessions.update(db, session._replace(status=Status.RUNNING, started_at=NOON))
        return Result()

    module = ModuleType("interfering")
    vars(module).update(vars(exec) | {"NAME": "interfering", "result": result})
    monkeypatch.setitem(sys.modules, "interfering", module)
    monkeypatch.setitem(registry.ADAPTERS, "interfering", "interfering")

    runtime = Runtime(paths=field.paths, environ=dict(os.environ), delivers=True)
    finalise(runtime, planted.id)
    runtime.close()

    stored = field.stored(planted)
    assert (stored.status, stored.outcome, looks) == (Status.STOPPED, Outcome.SUCCEEDED, 2)
    assert field.event_types(planted).count("session.stopped") == 1


def test_a_log_that_cannot_be_cut_keeps_neither_the_others_nor_a_delivery_waiting(
    field: Field, tmp_path: Path
) -> None:
    ended: dict[str, Any] = {
        "status": Status.STOPPED,
        "outcome": Outcome.SUCCEEDED,
        "ended_at": NOON,
        "exit_code": 0,
    }
    for _ in range(2):
        log = Path(field.directory(field.plant(**ended).id).log)
        log.write_text("line\n" * 1000)
    stubborn = [Path(field.directory(field.plant(**ended).id).log) for _ in range(2)]
    for path in stubborn:
        path.symlink_to(path)  # nobody can open it, not even root
    (field.home / "config.toml").write_text('logs.max_size = "1KiB"\n')
    runtime = Runtime(paths=field.paths, environ=dict(os.environ), clock=lambda: NOON, delivers=True)
    with transaction(runtime.state):
        outbox.enqueue(
            runtime.state,
            Delivery(
                kind=DeliveryKind.HOOK,
                name="on_complete",
                target="echo delivered >hook",
                event_id="key",
                payload={"cwd": str(tmp_path), "env": {}},
                created_at=NOON,
                session_id=None,
            ),
        )
    delivered = reap(runtime).delivered
    runtime.close()
    assert (delivered.done, delivered.failed) == (1, 0)
    assert (tmp_path / "hook").read_text() == "delivered\n"
    cut = [path for path in field.home.rglob("output.log") if not path.is_symlink()]
    assert len(cut) == 2
    assert max(path.stat().st_size for path in cut) < 1100


def test_a_timer_does_not_wait_for_the_hook_that_warns(
    field: Field, tmp_path: Path, run_real: RunReal, wait_until: WaitUntil
) -> None:
    """A deliverer of its own runs the hook, so the timer is back in time for the deadline."""
    now = utcnow()
    agent = field.start(began=now)
    session = field.plant(
        agent,
        fuse=make_fuse(timedelta(hours=1), since=now, warn_at=now - timedelta(seconds=1)),
        created_at=now,
        started_at=now,
        hooks={"on_fuse_warn": "echo $$ >new; mv new warned; exec sleep 60"},
    )
    run_real(f"_tick {session.id}", timeout=20)
    wait_until((tmp_path / "warned").exists)
    hook = psutil.Process(int((tmp_path / "warned").read_text()))
    assert hook.is_running()
    hook.kill()
    assert field.stored(session).status is Status.RUNNING


def test_a_hook_that_warns_and_takes_its_time_does_not_put_off_the_deadline(
    field: Field, tmp_path: Path, run_real: RunReal, wait_until: WaitUntil
) -> None:
    """Real seconds: the timer of a real shim warns after one of them, and stops after three."""
    warn = "echo $$ >new; mv new warned; exec sleep 60"
    options = ["--fuse", "3s", "--fuse-warn", "2s", "--on-fuse-warn", warn, "--cwd", str(tmp_path)]
    words = ["launch", "exec", "--settle", "0", *options, "--", "sleep", "60"]
    session_id = run_real(words).stdout.strip()
    with field.database() as db:
        session = sessions.get(db, session_id)
    assert session is not None
    wait_until(lambda: field.stored(session).is_final, timeout=30)
    ended = field.stored(session)
    assert ended.outcome is Outcome.TIMED_OUT
    assert ended.ended_at is not None
    # A timer that naps for its five seconds after the warning comes three seconds late.
    assert ended.ended_at - field.fuse(session).deadline < timedelta(seconds=2.8)
    wait_until((tmp_path / "warned").exists)
    hook = psutil.Process(int((tmp_path / "warned").read_text()))
    assert hook.is_running()
    hook.kill()


def test_a_warning_of_one_second_is_given_inside_its_second(
    field: Field, tmp_path: Path, run_real: RunReal, wait_until: WaitUntil
) -> None:
    """Real seconds: the timer of a real shim knows whole ones only, and its nap may end one late."""
    options = ["--fuse", "3s", "--fuse-warn", "1s", "--cwd", str(tmp_path)]
    session_id = run_real(["launch", "exec", "--settle", "0", *options, "--", "sleep", "60"]).stdout.strip()
    with field.database() as db:
        session = sessions.get(db, session_id)
    assert session is not None
    deadline = field.fuse(session).deadline
    wait_until(lambda: field.stored(session).is_final, timeout=30)
    with field.database() as db:
        told = {event.type: event.at for event in events.since(db, 0, limit=100, session_id=session_id)}
    assert deadline - timedelta(seconds=1) <= told["fuse.warned"] < deadline
    assert deadline <= told["fuse.expired"]
    assert field.stored(session).outcome is Outcome.TIMED_OUT


def test_a_timer_that_calls_early_is_kept_until_the_instant(field: Field, run_real: RunReal) -> None:
    now = utcnow()
    fuse = make_fuse(timedelta(hours=1), since=now, warn_at=now + timedelta(seconds=1.5))
    session = field.plant(field.start(began=now), fuse=fuse, created_at=now, started_at=now)
    run_real(f"_tick {session.id}", timeout=20)
    assert field.event_types(session) == ["fuse.warned"]


def test_a_timer_that_calls_long_before_a_moved_deadline_is_let_go(field: Field, run_real: RunReal) -> None:
    now = utcnow()
    fuse = make_fuse(timedelta(hours=1), FuseAction.STOP, since=now)
    session = field.plant(field.start(began=now), fuse=fuse, created_at=now, started_at=now)
    run_real(f"_tick {session.id}", timeout=20)
    assert field.event_types(session) == []
