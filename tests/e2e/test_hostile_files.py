"""Pipes, devices, sockets and databases without end where agentctl reads: no command waits for them."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunReal

PATIENCE = 10.0
"""Seconds: two readings of a database that is never done take four."""

COLUMNS = (
    "id",
    "parent_id",
    "directory",
    "title",
    "version",
    "time_created",
    "time_updated",
    "time_archived",
)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


def bound_socket(path: Path) -> None:
    short = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{short}/{path.name}")
    os.close(short)


def pipe_elsewhere(path: Path) -> None:
    os.mkfifo(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


KINDS = (pipe, device, terminal, bound_socket, pipe_elsewhere)
Plant = Callable[[Path], None]


@pytest.fixture
def store() -> Path:
    place = Path(os.environ["XDG_DATA_HOME"], "opencode")
    place.mkdir(parents=True)
    return place / "opencode.db"


def endless(path: Path, *, rows: str) -> None:
    """A database in which every table is a view of this many rows."""
    with sqlite3.connect(path) as db:
        columns = ", ".join(f"n AS {name}" for name in COLUMNS)
        db.execute(f"CREATE VIEW session AS WITH RECURSIVE r(n) AS ({rows}) SELECT {columns} FROM r")
        for name in ("message", "part"):
            columns = "n AS id, n AS session_id, n AS message_id, n AS time_created, n AS data"
            db.execute(f"CREATE VIEW {name} AS WITH RECURSIVE r(n) AS ({rows}) SELECT {columns} FROM r")
    db.close()


@pytest.mark.parametrize(
    "rows",
    [
        "SELECT 1 UNION ALL SELECT n + 1 FROM r",
        "SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 0 OR n > 0",
        "SELECT zeroblob(900000000)",
    ],
    ids=["endless", "endless with a condition", "huge"],
)
def test_a_database_that_is_never_read_to_its_end_is_left(run_real: RunReal, store: Path, rows: str) -> None:
    endless(store, rows=rows)
    run_real("list -a", timeout=PATIENCE)
    run_real("status nosuch", exit=10, timeout=PATIENCE)
    run_real("stop nosuch", exit=10, timeout=PATIENCE)


@pytest.mark.parametrize("plant", KINDS)
def test_a_store_that_is_no_file(run_real: RunReal, store: Path, plant: Plant) -> None:
    for place in (store, Path(f"{store}-wal")):
        plant(place)
        run_real("list -a", timeout=PATIENCE)
        run_real("status nosuch", exit=10, timeout=PATIENCE)
        place.unlink()
        (store.parent / "elsewhere").unlink(missing_ok=True)
        sqlite3.connect(store).close()


@pytest.mark.parametrize("plant", KINDS)
def test_files_of_a_session_that_its_agent_replaced(
    run_real: RunReal, sealed_home: Path, plant: Plant
) -> None:
    for name in ("exit", "pid", "lock", "session.json", "output.log", "fuse"):
        words = ["launch", "exec", "--settle", "0", "--force", "--", "sleep", "60"]
        session_id = run_real(words).stdout.strip()
        directory = sealed_home / "sessions" / session_id
        place = directory / name
        kept = place.rename(directory / "kept") if place.exists() else None
        plant(place)
        for command in ("list -a", f"status {session_id}", f"why {session_id}", f"logs {session_id}", "reap"):
            run_real(command, exit=None, timeout=PATIENCE)
        if name == "exit":
            assert session_id in run_real("list -q").lines, "only the shim says that its agent has ended"
        place.unlink()
        (directory / "elsewhere").unlink(missing_ok=True)
        if kept is not None:
            kept.rename(place)
        run_real(f"stop {session_id} --force", exit=None)
