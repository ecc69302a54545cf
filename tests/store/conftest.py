"""What the store's tests share: a real database, filled values, real processes and mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentctl.core.model import (
    Fuse,
    FuseAction,
    FuseState,
    Outcome,
    Rung,
    Session,
    Status,
    StopCause,
    Tokens,
)
from agentctl.store import db as store
from agentctl.store.db import Database

BUSY = timedelta(seconds=30)
T0 = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "agentctl.db")


@pytest.fixture
def db(path: str) -> Iterator[Database]:
    database = store.connect(path, busy=BUSY)
    yield database
    database.close()


@pytest.fixture
def t0() -> datetime:
    return T0


@pytest.fixture
def full_session() -> Session:
    """Every field differs from its default."""
    return Session(
        id="0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001",
        adapter="claude-code",
        cwd="/srv/täst dir",
        status=Status.ERROR,
        created_at=T0,
        name="night run",
        outcome=Outcome.TIMED_OUT,
        reason="blew its 2 h fuse",
        exit_code=143,
        signal=15,
        lingering=True,
        unsupervised=True,
        stop_cause=StopCause.FUSE,
        stop_stage=2,
        stop_escalate_at=T0 + timedelta(seconds=5),
        ladder=(Rung(2, timedelta(seconds=1.5)), Rung(9, timedelta(seconds=5))),
        pid=4242,
        start_token="linux:123:boot:machine:ns",
        native_id="ses_Abc%_*1",
        parent_id="0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f000",
        depth=2,
        resumed_from="0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f00f",
        group="g-0a1b2c",
        branch="try/g-0a1b2c/a",
        repo="/home/ann/src/a",
        base_commit="0123456789abcdef0123456789abcdef01234567",
        model="opus",
        requested_model="asked",
        prompt="fix it\n\tplease now ✓",
        args=("--flag", "two words", ""),
        env_keys=("A", "B_2"),
        hooks={"on_complete": "notify 'x'", "on_create": "make"},
        meta={"openclaw_callback_agent_id": "ann"},
        webhook="https://example.org address=0123",
        started_at=T0 + timedelta(microseconds=1),
        ended_at=T0 + timedelta(hours=2),
        tokens=Tokens(input=1, output=2, cache_read=3, cache_write=2**40),
        cost_usd=0.125,
        turns=7,
        result="done “well”",
        notes=("denied: Bash", "truncated"),
        store_path="/home/u/.claude",
        transcript_path="/home/u/.claude/x.jsonl",
        adapter_version="2.1.0",
        revision=0,
    )


@pytest.fixture
def full_fuse() -> Fuse:
    return Fuse(
        id="fuse-1",
        deadline=T0 + timedelta(hours=1),
        action=FuseAction.SCRIPT,
        created_at=T0,
        state=FuseState.FIRED,
        directory="/srv/d",
        warn_at=T0 + timedelta(minutes=50),
        command="echo 'x'",
        url="https://example.org/h",
    )


@pytest.fixture
def plant(db: Database) -> Callable[[Session], Session]:
    """Insert a session in a transaction of its own."""
    from agentctl.store import sessions

    def insert(session: Session) -> Session:
        with store.transaction(db):
            sessions.insert(db, session)
        return session

    return insert


@dataclass(frozen=True)
class Child:
    """A real process that runs Python text; it is told to go by a line on its input."""

    process: subprocess.Popen[str]

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self) -> str:
        """The rest of what it prints; it must have succeeded."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return out.strip()


Spawn = Callable[..., Child]

_LOSE_OVERRIDE = """
import ctypes, os, sys
if sys.platform.startswith("linux") and os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # DAC_OVERRIDE, DAC_READ_SEARCH: root obeys modes without them
        assert libc.prctl(24, capability, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python text with arguments; `plain=True` makes file modes bind for root too."""
    children: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str, plain: bool = False) -> Child:
        words = [_LOSE_OVERRIDE, script] if plain else [script]
        process = subprocess.Popen(
            [sys.executable, "-c", *words, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(process)
        return Child(process)

    yield start
    for process in children:
        if process.poll() is None:
            process.kill()
        process.communicate()


Mount = Callable[..., bool]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mount something until the end of the test; False where this user may not."""
    points: list[str] = []

    def attach(*arguments: str) -> bool:
        if os.geteuid() != 0 or not sys.platform.startswith("linux") or shutil.which("mount") is None:
            return False
        if subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode != 0:
            return False
        if arguments[-1] not in points:
            points.append(arguments[-1])
        return True

    yield attach
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], check=True)


@pytest.fixture
def freeze(mount: Mount) -> Iterator[Callable[[Path], None]]:
    """Make a directory and its files read-only, by a read-only mount or by their modes."""
    changed: list[Path] = []

    def seal(directory: Path) -> None:
        if mount("--bind", str(directory), str(directory)) and mount("-o", "remount,ro,bind", str(directory)):
            return
        for item in (*directory.iterdir(), directory):
            item.chmod(0o500 if item.is_dir() else 0o400)
            changed.append(item)

    yield seal
    for item in reversed(changed):
        item.chmod(0o700 if item.is_dir() else 0o600)
