"""A hook runs once, in its own place: nobody misses it, repeats it or takes it elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Set
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.model import Held, Status
from agentctl.host import flock
from agentctl.host.clock import utcnow
from agentctl.ops.reconcile import deliver
from agentctl.ops.reconcile.deliver import Delivered
from agentctl.ops.state import hooks
from agentctl.runtime import Runtime
from agentctl.store import outbox, sessions
from agentctl.store.db import Database, transaction
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import is_running
from tests.git_tools import make_repository
from tests.ops.delivering import rows
from tests.planting import NOON, Field, write_exit


def queue(runtime: Runtime, command: str, cwd: Path, *, key: str = "key") -> int:
    payload = {"cwd": str(cwd), "env": {}}
    hook = Delivery(DeliveryKind.HOOK, "on_complete", command, key, payload, runtime.now)
    with transaction(runtime.state):
        return outbox.enqueue(runtime.state, hook)


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
    runtime: Runtime, field: Field, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "main").mkdir()
    planted = field.plant(
        cwd=str(tmp_path / "gone"), repo=str(tmp_path / "main"), hooks={"on_complete": "touch harm"}
    )
    write_exit(field.directory(planted.id), "0", NOON)
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
    run: Run, field: Field, runtime: Runtime, tmp_path: Path, wait_until: WaitUntil
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


HOOK = (
    "echo $$ $PPID >>pids; echo begin >>runs; until [ -e go ]; do sleep 0.05; done; echo end >>runs; exit 3"
)


def later(runtime: Runtime, days: float = 1) -> Runtime:
    """An invocation after the clock was set forward, or when every claim has expired."""
    return Runtime(
        paths=runtime.paths, environ=runtime.environ, clock=lambda: utcnow() + timedelta(days=days)
    )


def test_a_stepped_clock_starts_no_second_hook_beside_the_first(
    runtime: Runtime, tmp_path: Path, wait_until: WaitUntil
) -> None:
    number = queue(runtime, HOOK, tmp_path)
    deliver.start_deliverer(runtime)
    wait_until((tmp_path / "runs").exists)
    stepped = later(runtime)
    assert deliver.deliver(stepped, stepped.state) == Delivered()
    assert [found.busy for found in [hooks.retry(stepped, [number])]] == [(number,)]
    stepped.close()
    (tmp_path / "go").touch()
    wait_until(lambda: rows(runtime)[number].state is DeliveryState.FAILED)
    row = rows(runtime)[number]
    assert (row.attempts, row.last_error) == (1, "exit 3")
    assert (tmp_path / "runs").read_text() == "begin\nend\n"


def test_a_hook_outlives_its_killed_deliverer_and_its_end_is_recorded_later(
    runtime: Runtime, tmp_path: Path, wait_until: WaitUntil
) -> None:
    number = queue(runtime, HOOK, tmp_path)
    deliverer = subprocess.Popen([sys.executable, "-P", "-m", "agentctl", "_deliver"])
    wait_until((tmp_path / "runs").exists)
    deliverer.kill()
    deliverer.wait(10)
    after = later(runtime)
    assert deliver.deliver(after, after.state) == Delivered()
    (tmp_path / "go").touch()
    place = Path(runtime.paths.state) / "hooks" / "key.on_complete"
    wait_until(lambda: flock.probe(f"{place}.lock") is Held.NO)
    assert deliver.deliver(after, after.state) == Delivered(failed=1)
    after.close()
    assert rows(runtime)[number].last_error == "exit 3"
    assert (tmp_path / "runs").read_text() == "begin\nend\n"
    assert list(place.parent.iterdir()) == []


def test_a_hook_without_its_deliverer_is_ended_at_its_limit(
    runtime: Runtime, tmp_path: Path, wait_until: WaitUntil, run: Run
) -> None:
    run(["config", "set", "hooks.timeout", "500ms"])
    queue(runtime, HOOK, tmp_path)
    deliverer = subprocess.Popen([sys.executable, "-P", "-m", "agentctl", "_deliver"])
    wait_until((tmp_path / "runs").exists)
    deliverer.kill()
    deliverer.wait(10)
    hook = int((tmp_path / "pids").read_text().split()[0])
    wait_until(lambda: not is_running(hook))
    after = later(runtime)
    wait_until(lambda: deliver.deliver(after, after.state) == Delivered(failed=1))
    after.close()
    assert [row.last_error for row in rows(runtime).values()] == ["ended at its limit of 0.5 s"]
    assert (tmp_path / "runs").read_text() == "begin\n"


@pytest.mark.parametrize("deliverer_too", [False, True])
def test_a_hook_without_its_keeper_is_kept_to_its_limit_and_not_run_again(
    deliverer_too: bool, runtime: Runtime, tmp_path: Path, wait_until: WaitUntil, run: Run
) -> None:
    run(["config", "set", "hooks.timeout", "1s"])
    queue(runtime, HOOK, tmp_path)
    deliverer = subprocess.Popen([sys.executable, "-P", "-m", "agentctl", "_deliver"])
    wait_until((tmp_path / "runs").exists)
    if deliverer_too:
        deliverer.kill()
    hook, keeper = map(int, (tmp_path / "pids").read_text().split())
    os.kill(keeper, signal.SIGKILL)
    deliverer.wait(10)
    lock = Path(runtime.paths.state) / "hooks" / "key.on_complete.lock"
    wait_until(lambda: flock.probe(str(lock)) is not Held.YES)
    after = later(runtime)
    assert deliver.deliver(after, after.state) == Delivered(failed=int(deliverer_too))
    after.close()
    assert not is_running(hook)
    assert [row.last_error for row in rows(runtime).values()] == ["ended at its limit of 1 s"]
    assert (tmp_path / "runs").read_text() == "begin\n"


def test_a_person_s_retry_runs_a_hook_that_failed_again(runtime: Runtime, tmp_path: Path) -> None:
    number = queue(runtime, "echo $AGENTCTL_ATTEMPT >>runs; exit 3", tmp_path)
    assert deliver.deliver(runtime, runtime.state) == Delivered(failed=1)
    assert [row.id for row in hooks.retry(runtime, [number]).failed] == [number]
    assert (tmp_path / "runs").read_text() == "1\n2\n"


def test_a_database_that_is_lost_after_a_hook_has_run_does_not_repeat_it(
    run: Run, runtime: Runtime, sealed_home: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """The manifest is older than the end: whoever recorded it was killed before writing it."""
    words = ["launch", "exec", "--cwd", str(tmp_path), "--on-complete", "echo run >>runs", "--"]
    session_id = run([*words, "sh", "-c", "until [ -e go ]; do sleep 0.05; done"]).stdout.strip()
    directory = Path(runtime.paths.session(session_id).directory)
    manifest = (directory / "session.json").read_bytes()
    (tmp_path / "go").touch()
    wait_until(lambda: [row.state for row in rows(runtime).values()] == [DeliveryState.DONE])
    wait_until(lambda: flock.probe(str(directory / "lock")) is Held.NO)
    (directory / "session.json").write_bytes(manifest)
    runtime.close()
    for database in sealed_home.glob("agentctl.db*"):
        database.unlink()
    assert run("doctor --rebuild --json").json()["ended"] == [session_id]
    run("reap")
    assert '"on_complete"' in run("hooks list --json").stdout
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_keeper_changes_nothing_of_what_its_hook_gets(runtime: Runtime, tmp_path: Path) -> None:
    """Its shell's own variables and modes, and the text that it runs, stay with it."""
    words = {"place": "a", "limit": "b", "hook": "c", "umask": "d", "code": "e", "timer": "f", "LC_ALL": "C"}
    runtime.environ = {**runtime.environ, **words, "SHELLOPTS": "noexec", "PYTHONHOME": "/nowhere"}
    queue(runtime, "env >got; ps -o args= -p $PPID >>got; ls -l /proc/self/fd/0 >>got; umask >>got", tmp_path)
    assert deliver.deliver(runtime, runtime.state) == Delivered(done=1)
    got = (tmp_path / "got").read_text()
    assert [f"{name}={value}" for name, value in words.items() if f"{name}={value}\n" not in got] == []
    assert "PYTHONHOME=/nowhere\n" in got
    assert ("LC_CTYPE=" in got) == ("LC_CTYPE" in runtime.environ)
    private = ("AGENTCTL_PROGRAM=", "AGENTCTL_SET_HOOK=", "AGENTCTL_SET_BECOME=", "import os, signal", ">got")
    assert not [text for text in private if text in got]
    assert "/dev/null" in got
