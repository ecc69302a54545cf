"""What the fault tests share: real agentctl processes, agents that wait at a gate, and looks at what is left.

Rows and events are read through the store, so that looking changes nothing: no look in
here reconciles, signals or delivers.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agentctl.core import variables
from agentctl.core.model import Fuse, Lock, Session, Status
from agentctl.core.model import Outcome as Ending
from agentctl.host import flock as liveness
from agentctl.host import processes
from agentctl.host.clock import utcnow
from agentctl.host.files import write_private
from agentctl.host.paths import SessionFiles
from agentctl.host.waiting import ticks
from agentctl.runtime import Runtime
from agentctl.store import events, fuses, locks, sessions
from agentctl.store.db import Database, reading, transaction
from tests.conftest import Outcome, Run, WaitUntil

AGENTCTL = (sys.executable, "-P", "-m", "agentctl")
ENDINGS = frozenset({"session.stopped", "session.error", "session.timeout"})
GATE = "gate"
PATIENCE = 60
"""Seconds: many processes on few busy cores take their time, and a failure may cost it."""


def begin(
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    program: Sequence[str] = AGENTCTL,
) -> subprocess.Popen[str]:
    """An agentctl of its own, running while the test goes on; `finish` waits for it."""
    return subprocess.Popen(
        [*program, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Outcome:
    """What a begun process left."""
    stdout, stderr = process.communicate(timeout=timeout)
    return Outcome(shlex.join(map(str, process.args)), process.returncode, stdout, stderr)  # type: ignore[arg-type]  # a list of words


def launch(run: Run, cwd: Path, *words: str, options: Sequence[str] = (), **more: Any) -> str:
    """The id of a command launched in `cwd`, without waiting for an early failure."""
    cwd.mkdir(exist_ok=True)
    command = ["launch", "exec", "--settle", "0s", "--cwd", str(cwd), *options, "--", *words]
    return run(command, **more).stdout.strip()


def launch_at_gate(run: Run, cwd: Path, code: int = 0, **more: Any) -> str:
    """The id of an agent that ends with `code` once `open_gate(cwd)` lets it."""
    return launch(run, cwd, *at_gate(cwd, code), **more)


def at_gate(cwd: Path, code: int = 0) -> list[str]:
    """A command that costs nothing while it waits, and ends when its gate is opened."""
    cwd.mkdir(exist_ok=True)
    os.mkfifo(cwd / GATE)
    return ["sh", "-c", f"read -r line <{GATE}; exit {code}"]


def open_gate(cwd: Path, timeout: float = 60) -> None:
    """Let the agent go on that waits in `cwd`, as soon as it waits there."""
    for _ in ticks(interval=0.01, timeout=timeout):
        try:
            os.close(os.open(cwd / GATE, os.O_WRONLY | os.O_NONBLOCK))
            return
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
    raise AssertionError(f"no agent waits at {cwd / GATE}")


@contextmanager
def state() -> Iterator[Database]:
    """The database of this test, to be written."""
    runtime = Runtime.from_environment("test")
    try:
        yield runtime.state
    finally:
        runtime.close()


@contextmanager
def snapshot() -> Iterator[Database]:
    """The database of this test as it is now, also where nothing can be written."""
    runtime = Runtime.from_environment("test")
    try:
        with reading(runtime.readable_state):
            yield runtime.readable_state
    finally:
        runtime.close()


def row(session_id: str) -> Session:
    """A session's row as it is stored, judged by nobody."""
    with snapshot() as db:
        found = sessions.get(db, session_id)
    assert found is not None, f"no row {session_id}"
    return found


def rows() -> list[Session]:
    """Every row."""
    with snapshot() as db:
        return [*sessions.unsettled(db), *sessions.recent(db)]


def fuse_of(session_id: str) -> Fuse | None:
    with snapshot() as db:
        return fuses.for_session(db, session_id)


def ledger(session_id: str) -> list[str]:
    """Types of a session's events, oldest first."""
    with snapshot() as db:
        return [event.type for event in events.since(db, 0, limit=100, session_id=session_id)]


def endings(session_id: str) -> list[str]:
    return [type_ for type_ in ledger(session_id) if type_ in ENDINGS]


def held() -> list[Lock]:
    """Every directory lock."""
    with snapshot() as db:
        return locks.all(db)


def plant(session: Session, fuse: Fuse | None = None) -> SessionFiles:
    """A row nobody launched, with its directory lock and the files of a shim that has gone."""
    files = SessionFiles(str(Path(os.environ["AGENTCTL_HOME"], "sessions", session.id)))
    with state() as db, transaction(db):
        sessions.insert(db, session)
        if fuse is not None:
            fuses.insert(db, fuse)
        locks.acquire(
            db,
            directory=session.cwd,
            holder=session.id[:8],
            session_id=session.id,
            created_at=session.created_at,
        )
    os.mkdir(files.directory, 0o700)
    os.close(liveness.hold(files.lock))
    write_private(files.log, b"")
    return files


def a_session(cwd: Path, **changes: Any) -> Session:
    """A running row to be planted: launched a minute ago."""
    began = utcnow() - timedelta(minutes=1)
    session = Session(
        id=os.urandom(4).hex() + "-0000-4000-8000-000000000000",
        adapter="exec",
        cwd=str(cwd),
        status=Status.RUNNING,
        created_at=began,
        started_at=began,
    )
    return session._replace(**changes)


def rewrite(session: Session) -> None:
    """Store a changed row, as if it had been so all the time."""
    with state() as db, transaction(db):
        assert sessions.update(db, session) is not None


@dataclass(frozen=True, slots=True)
class Pids:
    """Who belongs to a running session."""

    shim: int
    agent: int


def pids_of(session_id: str) -> Pids:
    """From the pid file, which the agent wrote before it became one."""
    words = Path(os.environ["AGENTCTL_HOME"], "sessions", session_id, "pid").read_text().split()
    return Pids(shim=int(words[3]), agent=int(words[0]))


def is_running(pid: int) -> bool:
    """There, and no zombie."""
    stat = processes.stat_of(pid)
    return stat is not None and not stat.is_zombie


def vanish(session_id: str) -> None:
    """End a session's shim and its agent, so that nobody records how it ended."""
    pids = pids_of(session_id)
    for pid in (pids.shim, pids.agent):
        os.kill(pid, signal.SIGKILL)
    for _ in ticks(interval=0.01, timeout=PATIENCE):
        if not is_running(pids.shim) and not is_running(pids.agent):
            return
    raise AssertionError(f"{pids} are still there")


def processes_of(home: Path | str, *, session_id: str | None = None) -> dict[int, list[str]]:
    """Living processes that were started under this HOME (and session): pid → argument vector."""
    found = {}
    for pid, stat in processes.table().items():
        if stat.is_zombie or pid == os.getpid():
            continue
        environ = processes.environment_of(pid)
        tag = environ.get(variables.SESSION_ID)
        if environ.get("HOME", "").startswith(f"{home}") and session_id in (None, tag):
            found[pid] = list(processes.arguments_of(pid))
    return found


def document(run: Run, session_id: str, **more: Any) -> Any:
    """What `status --json` says of one session."""
    return run(["status", session_id, "--json"], **more).json()["sessions"][0]


def is_refused_cleanly(launched: Outcome, tmp_path: Path, wait_until: WaitUntil) -> None:
    """A clear message, no id, and nobody at work for it."""
    assert launched.exit in (1, 13), launched
    assert launched.stdout == ""
    assert launched.stderr.startswith("agentctl: ")
    assert "internal error" not in launched.stderr, launched
    assert any(word in launched.stderr for word in ("space", "room", "full", "disk", "too large", "File")), (
        launched
    )

    def has_nobody() -> bool:
        wake_shims(tmp_path)
        return processes_of(tmp_path) == {}

    wait_until(has_nobody, timeout=PATIENCE)


def wake_shims(home: Path) -> None:
    """End the pause of five seconds after which a shim tries again to record its agent's end."""
    for pid, words in processes_of(home).items():
        if words == ["sleep", "5"]:
            with suppress(ProcessLookupError):  # one that is over
                os.kill(pid, signal.SIGKILL)


def nothing_stays_claimed(run: Run, place: Path, wait_until: WaitUntil) -> None:
    """Whatever became of a launch in `place`: no directory is held, no row open, and the next one works."""
    run("list")
    assert held() == []
    assert all(session.is_settled for session in rows())
    (place / GATE).unlink()
    again = launch_at_gate(run, place)
    open_gate(place)
    wait_until(lambda: row(again).outcome is Ending.SUCCEEDED, timeout=PATIENCE)
