"""Real agents under real shims, and rows that say when they began.

A test that freezes the clock starts the shim with a finalising call that does nothing and
without a timer, plants the row at the frozen instant, and asks the command line. What
waits looks at the real clock all the same.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import freezegun
import psutil

from agentctl.core.ids import new_id
from agentctl.core.ledger import Event
from agentctl.core.model import Fuse, FuseAction, Life, Lock, Session, Status
from agentctl.host import flock as liveness
from agentctl.host import processes, waiting
from agentctl.host.paths import Paths, SessionFiles
from agentctl.host.spawn import ShimRequest, start_shim
from agentctl.store import events, fuses, locks, sessions
from agentctl.store.db import Database, connect, reading, transaction

freezegun.configure(extend_ignore_list=["agentctl.host.waiting", "_pytest.timing", "_pytest.runner"])

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""When planted sessions begin, unless a test says otherwise."""

ABSENT = "ses_ffffffffffffNotInAnySample"
"""A native id that no sample of opencode's store holds."""

NO_FINALISER = "/bin/true"
FAKE_AGENT = (sys.executable, "-I", "-S", str(Path(__file__).with_name("fake_agent.py")))


@contextmanager
def without_descriptors() -> Iterator[None]:
    """This process can open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def suspend(pid: int) -> None:
    """Stop a process, and return once it has stopped: until then it may still see its child die."""
    os.kill(pid, signal.SIGSTOP)
    assert waiting.poll(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, timeout=10)


@dataclass(frozen=True, slots=True)
class Agent:
    """A real child under a real shim."""

    session_id: str
    files: SessionFiles
    shim: subprocess.Popen[bytes]
    pid: int
    token: str

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the agent alone; its shim goes on."""
        assert processes.signal_process(self.pid, self.token, number)

    def life(self) -> Life:
        return processes.look(self.pid, self.token)

    def is_gone(self) -> bool:
        return self.life() is not Life.ALIVE

    def says(self, text: str) -> bool:
        return text in self.log()

    def log(self) -> str:
        return Path(self.files.log).read_text()

    def leave(self, number: int = signal.SIGKILL) -> None:
        """End the agent and wait until its shim has recorded that and left."""
        self.kill(number)
        self.shim.wait()

    def vanish(self) -> None:
        """End shim and agent so that nobody records it."""
        self.shim.kill()
        self.shim.wait()
        self.kill()
        assert waiting.poll(self.is_gone, timeout=10)


@dataclass(frozen=True, slots=True)
class Field:
    """Where agents are started and rows planted; `home` is AGENTCTL_HOME."""

    home: Path
    started: list[Agent] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        return Paths(state=str(self.home), config_file=str(self.home / "config.toml"))

    @contextmanager
    def database(self) -> Iterator[Database]:
        self.paths.create()
        db = connect(self.paths.database, busy=timedelta(seconds=30))
        try:
            yield db
        finally:
            db.close()

    def directory(self, session_id: str) -> SessionFiles:
        """The session's directory, made."""
        self.paths.create()
        files = self.paths.session(session_id)
        os.makedirs(files.directory, mode=0o700, exist_ok=True)
        return files

    def start(self, *orders: str, session_id: str | None = None, began: datetime = NOON) -> Agent:
        """A fake agent under a shim, once it is ready; its pid file says that it began at `began`."""
        session_id = session_id or new_id()
        files = self.directory(session_id)
        orders = orders or ("ready", "sleep:60")
        lock = liveness.hold(files.lock)
        try:
            shim = start_shim(
                ShimRequest(
                    session_id=session_id,
                    name=None,
                    files=files,
                    lock=lock,
                    argv=(*FAKE_AGENT, *orders),
                    cwd=str(self.home.parent),
                    stdin=os.devnull,
                    environ=dict(os.environ),
                    patch={"AGENTCTL_SESSION_ID": session_id},
                    timed=False,
                    interpreter=NO_FINALISER,
                )
            )
        finally:
            os.close(lock)
        assert waiting.poll(lambda: os.path.exists(files.pid), timeout=20), "no pid file"
        pid, ticks, *_ = Path(files.pid).read_text().split()
        touch(files.pid, began)
        agent = Agent(session_id, files, shim, int(pid), processes.token(ticks))
        self.started.append(agent)
        if "ready" in orders:
            assert waiting.poll(lambda: agent.says("ready"), timeout=20), "the agent is not ready"
        return agent

    def plant(self, agent: Agent | None = None, *, fuse: Fuse | None = None, **changes: Any) -> Session:
        """Insert the row of `agent` with its fuse and directory lock, running since NOON."""
        columns: dict[str, Any] = {
            "id": new_id() if agent is None else agent.session_id,
            "adapter": "exec",
            "cwd": str(self.home.parent),
            "status": Status.RUNNING,
            "created_at": NOON,
            "started_at": NOON,
        }
        if agent is not None:
            columns |= {"pid": agent.pid, "start_token": agent.token}
        session = Session(**(columns | changes))
        with self.database() as db, transaction(db):
            sessions.insert(db, session)
            if fuse is not None:
                fuses.insert(db, fuse._replace(session_id=session.id))
            locks.acquire(
                db, directory=session.cwd, holder="test", session_id=session.id, created_at=session.created_at
            )
        return session

    def stored(self, session: Session) -> Session:
        """The row as it is now."""
        with self.database() as db, reading(db):
            row = sessions.get(db, session.id)
        assert row is not None
        return row

    def fuse(self, session: Session) -> Fuse:
        with self.database() as db, reading(db):
            row = fuses.for_session(db, session.id)
        assert row is not None
        return row

    def events(self, session: Session) -> list[Event]:
        with self.database() as db, reading(db):
            return events.since(db, 0, limit=100, session_id=session.id)

    def event_types(self, session: Session) -> list[str]:
        return [event.type for event in self.events(session)]

    def locks(self, session: Session) -> list[Lock]:
        """The directory locks that this session holds."""
        with self.database() as db, reading(db):
            return [lock for lock in locks.all(db) if lock.session_id == session.id]

    def clear(self) -> None:
        """End what was started, wherever it has got to."""
        for agent in self.started:
            with suppress(ProcessLookupError):
                if agent.shim.poll() is None:
                    # It leads its group and is not reaped yet: the number can be nobody else's.
                    os.killpg(agent.shim.pid, signal.SIGKILL)
            processes.signal_process(agent.pid, agent.token, signal.SIGKILL)
            agent.shim.wait()


@contextmanager
def field_in(home: Path) -> Iterator[Field]:
    """A field that is cleared at the end, whatever a test did in it."""
    made = Field(home)
    try:
        yield made
    finally:
        made.clear()


def make_fuse(
    lasting: timedelta, action: FuseAction = FuseAction.NONE, *, since: datetime = NOON, **changes: Any
) -> Fuse:
    """A fuse lit at `since`."""
    return Fuse(id=new_id(), deadline=since + lasting, action=action, created_at=since, **changes)


def touch(path: str, at: datetime) -> None:
    """Set a file's instant."""
    stamp = round(at.timestamp() * 1000) * 1_000_000
    os.utime(path, ns=(stamp, stamp))


def write_exit(files: SessionFiles, text: str, at: datetime) -> None:
    """An exit file as a shim leaves it."""
    Path(files.exit).write_text(text)
    touch(files.exit, at)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@contextmanager
def sealed(directory: Path) -> Iterator[None]:
    """Nothing can be written in `directory`: by a read-only mount, or by modes where that is refused."""
    if _mounted("--bind", str(directory), str(directory)):
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(directory)], check=True)
            yield
        finally:
            subprocess.run(["umount", "-l", str(directory)], check=True)
        return
    inside = [directory, *(path for path in directory.iterdir() if path.is_file())]
    modes: Mapping[Path, int] = {path: path.stat().st_mode for path in inside}
    try:
        for path in inside:
            path.chmod(0o500 if path.is_dir() else 0o400)
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[bool]:
    """A file system of so many bytes at `directory`; False where this user may not mount one."""
    made = _mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory))
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "-l", str(directory)], check=True)


def _mounted(*words: str) -> bool:
    if os.geteuid() != 0 or sys.platform != "linux" or shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
