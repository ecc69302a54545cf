"""Ctrl-C in the middle of a launch: what is recorded afterwards is what is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.model import Outcome, Session, Status
from agentctl.host import spawn
from agentctl.ops.start import launch
from agentctl.runtime import Runtime
from agentctl.store import locks, sessions
from agentctl.store.db import reading
from tests.conftest import Run, WaitUntil


@pytest.fixture
def runtime(sealed_home: Path) -> Iterator[Runtime]:
    made = Runtime.from_environment(actor="test")
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


def only_row(runtime: Runtime) -> Session:
    with reading(runtime.state):
        (row,) = sessions.recent(runtime.state) + sessions.unsettled(runtime.state)
    return row


def holders(runtime: Runtime) -> list[str | None]:
    with reading(runtime.state):
        return [lock.session_id for lock in locks.all(runtime.state)]


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, then: Callable[[Any], None]
) -> None:
    """Ctrl-C comes once, when the real function has done its work and before anybody has its value."""
    real = getattr(module, name)

    def interrupted(*arguments: Any, **named: Any) -> None:
        value = real(*arguments, **named)
        monkeypatch.setattr(module, name, real)
        then(value)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, name, interrupted)


def test_right_after_the_fork_of_the_shim_it_leaves_a_session_that_is_adopted(
    run: Run, runtime: Runtime, place: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    interrupt_after(monkeypatch, spawn, "start_shim", spawn.forget)
    assert run(f"launch exec --cwd {place} -- sleep 60", exit=None).exit != 0
    left = only_row(runtime)
    assert (left.status, left.outcome) == (Status.STARTING, None)

    wait_until(Path(runtime.paths.session(left.id).pid).exists)
    run("list")
    adopted = only_row(runtime)
    assert (adopted.status, adopted.outcome) == (Status.RUNNING, None)
    assert holders(runtime) == [left.id]
    assert adopted.pid is not None
    agent = psutil.Process(adopted.pid)
    run(f"stop {left.id}")
    assert only_row(runtime).outcome is Outcome.CANCELLED
    assert not agent.is_running()


@pytest.mark.parametrize("step", ["_await_agent", "_record_start"])
def test_once_the_agent_runs_it_names_the_session_that_goes_on(
    step: str, run: Run, runtime: Runtime, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, launch, step, lambda _: None)
    said = run(f"launch exec --cwd {place} -- sleep 60", exit=130).stderr
    run("list")
    left = only_row(runtime)
    assert left.status is Status.RUNNING
    assert f"session {left.id} has started and goes on" in said
    run(f"stop {left.id}")


def test_right_after_the_first_commit_it_leaves_a_row_that_the_next_call_ends(
    run: Run, runtime: Runtime, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, launch, "_insert", lambda _: None)
    assert run(f"launch exec --cwd {place} -- sleep 60", exit=None).exit != 0
    left = only_row(runtime)
    assert Path(runtime.paths.session(left.id).directory).is_dir()

    run("list")
    ended = only_row(runtime)
    assert (ended.id, ended.status, ended.outcome) == (left.id, Status.ERROR, Outcome.LOST)
    assert holders(runtime) == []
    run(f"launch exec --cwd {place} -- true")


def test_during_the_on_create_hook_it_ends_the_hook_and_the_launch(
    runtime: Runtime, place: Path, wait_until: WaitUntil
) -> None:
    """The hook leads a process session of its own: the terminal's Ctrl-C does not reach it."""
    words = ["launch", "exec", "--cwd", str(place), "--on-create", "echo $$ >new; mv new hook; sleep 60"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # or it would be inherited as ignored
    try:
        launcher = subprocess.Popen(
            [sys.executable, "-P", "-m", "agentctl", *words, "--", "true"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until((place / "hook").exists)
    hook = psutil.Process(int((place / "hook").read_text()))
    os.kill(launcher.pid, signal.SIGINT)
    assert launcher.wait(20) == 130
    wait_until(lambda: not hook.is_running())
    assert only_row(runtime).status is Status.ERROR
    assert holders(runtime) == []
