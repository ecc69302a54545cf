"""State to measure in: sessions at work under real shims, ended ones by the thousand, stores, logs.

Everything is below one temporary directory. What was started is ended by the one who
started it, through the child it is, never by a name.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentctl.core.ids import new_id
from agentctl.core.model import DEFAULT_FUSE, Fuse, FuseAction, Held, Outcome, Session, Status
from agentctl.host import flock as liveness
from agentctl.host import processes, waiting
from agentctl.host.paths import Paths
from agentctl.host.spawn import ShimRequest, start_shim
from agentctl.ops.reconcile.observe import read_agent
from agentctl.store import fuses, locks, sessions
from agentctl.store.db import Database, connect, transaction

DATA = Path(__file__).parents[1] / "data"
SAMPLE = DATA / "opencode" / "opencode-1.18.33.db"
SAMPLE_SESSION = "ses_dfdd44dc5ffewUU8S5CqY9sWpb"

NO_FINALISER = "/bin/true"
BUSY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class World:
    """One AGENTCTL_HOME with its agents."""

    home: Path
    environ: Mapping[str, str]
    shims: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        return Paths.from_environment(self.environ)

    @contextmanager
    def database(self) -> Iterator[Database]:
        self.paths.create()
        db = connect(self.paths.database, busy=BUSY)
        try:
            yield db
        finally:
            db.close()

    def add_live(self, count: int) -> None:
        """Sessions at work: a shim that holds the lock, `sleep` as its agent, and a row with a fuse."""
        planted = [self._start() for _ in range(count)]
        with self.database() as db, transaction(db):
            for session in planted:
                sessions.insert(db, session)
                fuse = Fuse(
                    id=new_id(),
                    session_id=session.id,
                    deadline=session.created_at + DEFAULT_FUSE,
                    action=FuseAction.NONE,
                    created_at=session.created_at,
                )
                fuses.insert(db, fuse)
                locks.acquire(
                    db,
                    directory=f"{session.cwd}/{session.id}",
                    holder="benchmark",
                    session_id=session.id,
                    created_at=session.created_at,
                )

    def _start(self) -> Session:
        session = Session(
            id=new_id(),
            adapter="exec",
            cwd=str(self.home),
            status=Status.RUNNING,
            created_at=datetime.now(UTC),
            prompt="Wait for what never comes",
        )
        files = self.paths.session(session.id)
        os.makedirs(files.directory, mode=0o700)
        lock = liveness.hold(files.lock)
        try:
            shim = start_shim(
                ShimRequest(
                    session_id=session.id,
                    name=None,
                    files=files,
                    lock=lock,
                    argv=("sleep", "3600"),
                    cwd=session.cwd,
                    stdin=os.devnull,
                    environ=self.environ,
                    patch={"AGENTCTL_SESSION_ID": session.id},
                    timed=False,
                    interpreter=NO_FINALISER,
                )
            )
        finally:
            os.close(lock)
        self.shims.append(shim)
        if not waiting.poll(lambda: os.path.exists(files.pid), timeout=20):
            raise RuntimeError("an agent did not start")
        agent = read_agent(files)
        if agent is None:
            raise RuntimeError("a pid file cannot be read")
        return session._replace(pid=agent.pid, start_token=agent.start_token, started_at=agent.started_at)

    def add_final(self, count: int) -> list[Session]:
        """Ended sessions of the last weeks, without files."""
        now = datetime.now(UTC)
        planted = [_ended(str(self.home), now - timedelta(minutes=5 + n)) for n in range(count)]
        with self.database() as db, transaction(db):
            for session in planted:
                sessions.insert(db, session)
        return planted

    def add_log(self, size: int) -> str:
        """An ended session whose log has `size` bytes: lines at its end, a hole before them; its id."""
        session = self.add_final(1)[0]
        files = self.paths.session(session.id)
        os.makedirs(files.directory, mode=0o700)
        tail = b"\n" + b"".join(b"line %04d of what was printed\n" % n for n in range(60))
        with open(files.log, "wb") as log:
            log.truncate(size - len(tail))
            log.seek(0, os.SEEK_END)
            log.write(tail)
        return session.id

    def is_over(self, session_id: str) -> bool:
        """Whether the session's shim has left, with its finalising call."""
        return liveness.probe(self.paths.session(session_id).lock) is Held.NO

    def settle(self, printed: str) -> None:
        """Wait until the session that `launch` has printed is over, so that it does not slow the next run."""
        if not waiting.poll(lambda: self.is_over(printed.strip()), timeout=30):
            raise RuntimeError(f"session {printed.strip()} does not end")

    def clear(self) -> None:
        """End the shims and the agents, each in a process group that its shim leads."""
        for shim in self.shims:
            with suppress(ProcessLookupError):
                # Not waited for yet, so the number is still its own.
                os.killpg(shim.pid, signal.SIGKILL)
            shim.wait()


def _ended(cwd: str, at: datetime) -> Session:
    return Session(
        id=new_id(),
        adapter="exec",
        cwd=cwd,
        status=Status.STOPPED,
        outcome=Outcome.SUCCEEDED,
        reason="exit 0 after 4 min",
        exit_code=0,
        created_at=at - timedelta(minutes=4),
        started_at=at - timedelta(minutes=4),
        ended_at=at,
        prompt="Make the tests pass and say what was wrong with them",
    )


@contextmanager
def world_in(directory: Path, name: str) -> Iterator[World]:
    """An empty world, whose HOME is empty too; cleared at the end."""
    home = directory / name
    (home / "home").mkdir(parents=True)
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home / "home"),
        "AGENTCTL_HOME": str(home / "state"),
        "COLUMNS": "120",
        "LANG": "C.UTF-8",
    }
    world = World(home, environ)
    try:
        yield world
    finally:
        world.clear()


def opencode_store(directory: Path, count: int) -> str:
    """A data home where opencode keeps `count` ended sessions; each with the message it ended with."""
    store = directory / "opencode" / "opencode.db"
    store.parent.mkdir(parents=True)
    shutil.copyfile(SAMPLE, store)
    db = sqlite3.connect(store)
    db.execute("PRAGMA journal_mode = WAL")
    with db:
        for number in range(count):
            native = f"ses_bench{number:024d}"
            _copy(db, "session", "id = ?", SAMPLE_SESSION, {"id": native})
            newest = "id = (SELECT id FROM message WHERE session_id = ? ORDER BY time_created DESC, id DESC)"
            message = {"id": f"msg_bench{number:024d}", "session_id": native}
            _copy(db, "message", newest, SAMPLE_SESSION, message)
    db.close()
    return str(directory)


TRANSCRIPTS: dict[str, tuple[str, str]] = {
    "claude-code": ("transcripts/2.1.330-finished.jsonl", ".claude/projects/-srv-{project}/{id}.jsonl"),
    "codex": (
        "rollouts/finished.jsonl",
        ".codex/sessions/2026/11/{day:02}/rollout-2026-11-{day:02}T10-00-00-{id}.jsonl",
    ),
    "pi": (
        "sessions/0.73.1/ok.jsonl",
        ".pi/agent/sessions/--srv-{project}--/2026-11-{day:02}T10-00-00-000Z_{id}.jsonl",
    ),
}
"""Agent → a recorded transcript, and where its own would lie below a home."""

RECENT = 50
"""Transcripts of the last week; the others are older, as with somebody who has worked for months."""

LONG_AGO = timedelta(days=60)


def home_with_transcripts(directory: Path, agent: str, count: int, *, recent: int = RECENT) -> str:
    """A home where this agent keeps `count` ended sessions, copies of a recorded one; `recent` are new."""
    sample, place = TRANSCRIPTS[agent]
    text = (DATA / agent / sample).read_text()
    found = re.search(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
    if found is None:
        raise RuntimeError(f"the sample of {agent} names no session")
    before = (datetime.now(UTC) - LONG_AGO).timestamp()
    for number in range(count):
        native = f"{number:08x}-0000-4000-8000-000000000000"
        name = place.format(project=number % 20, day=number % 28 + 1, id=native)
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(found[0], native))
        if number >= recent:
            os.utime(path, (before, before))
    return str(directory)


def _copy(db: sqlite3.Connection, table: str, where: str, key: str, changes: Mapping[str, str]) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    picked = ", ".join("?" if column in changes else f'"{column}"' for column in columns)
    values = [changes[column] for column in columns if column in changes]
    changed = db.execute(f"INSERT INTO {table} SELECT {picked} FROM {table} WHERE {where}", (*values, key))
    if changed.rowcount != 1:
        raise RuntimeError(f"the sample has no such {table}")


def private_memory(world: World, session_id: str) -> int | None:
    """Private bytes of a session besides its agent: shim, timer, the timer's sleep. None without smaps."""
    agent = read_agent(world.paths.session(session_id))
    if agent is None:
        raise RuntimeError("the session has no agent")
    table = processes.table()
    group = table[agent.pid].group
    pids = [pid for pid, stat in table.items() if stat.group == group and pid != agent.pid]
    try:
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    except OSError:
        return None
    return sum(
        int(size) * 1024 for text in rollups for size in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M)
    )
