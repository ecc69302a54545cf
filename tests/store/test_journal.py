"""Which journal fits a file system."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.errors import StateUnusable
from agentctl.store import counters, journal
from agentctl.store import db as store

MOUNTS = r"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:20 / /home rw shared:5 master:1 - nfs4 server:/home rw,vers=4.2
24 23 0:21 / /home/ann/local rw - xfs /dev/sdb rw
25 22 0:22 / /mnt/with\040blank rw - fuse.sshfs ann@host: rw
26 22 0:23 / /twice rw - ext4 /dev/sdc rw
27 22 0:24 / /twice rw - 9p share rw
a line that is none
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/", "ext4"),
        ("/home", "nfs4"),
        ("/home/bob/.local/state", "nfs4"),
        ("/homework", "ext4"),
        ("/home/ann/local/state", "xfs"),
        ("/mnt/with blank/x", "fuse.sshfs"),
        ("/twice/x", "9p"),
    ],
)
def test_the_longest_and_latest_mount_holds_a_directory(directory: str, kind: str) -> None:
    assert journal.file_system_type(directory, MOUNTS) == kind


def test_without_a_mount_table_nothing_is_known() -> None:
    assert journal.file_system_type("/", "") is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "lustre", "ceph"])
def test_network_file_systems_are_known(kind: str) -> None:
    assert kind in journal.NETWORK_TYPES


def test_an_ordinary_directory_bears_wal(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert store.journal_advice(str(tmp_path / "state" / "agentctl.db")) == ("wal", None)
    assert os.listdir(tmp_path / "state") == []


def test_a_refused_wal_falls_back_to_a_rollback_journal(tmp_path: Path) -> None:
    """A directory where the trial's log should be makes SQLite refuse, as such a file system does."""
    (tmp_path / "state").mkdir()
    path = str(tmp_path / "state" / "agentctl.db")
    obstacle = tmp_path / "state" / f"agentctl.db.trial-{os.getpid()}-wal"
    obstacle.mkdir()
    mode, note = store.journal_advice(path)
    assert mode == "delete"
    assert "refuses WAL" in str(note)
    db = store.connect(path, busy=timedelta(seconds=1))
    obstacle.rmdir()
    assert "delete journal" in str(db.note)
    assert db.connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    with store.transaction(db):
        counters.increment(db, "x")
    db.close()
    again = store.connect(path, busy=timedelta(seconds=1))
    assert "delete journal" in str(again.note), "an existing database keeps its journal"
    assert counters.all(again) == {"x": 1}
    again.close()
    assert os.listdir(tmp_path / "state") == ["agentctl.db"]


def test_a_rollback_journal_lets_readers_and_writers_take_turns(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    path = str(tmp_path / "state" / "agentctl.db")
    obstacle = tmp_path / "state" / f"agentctl.db.trial-{os.getpid()}-wal"
    obstacle.mkdir()
    short = timedelta(milliseconds=50)
    one, two = store.connect(path, busy=short), store.connect(path, busy=short)
    obstacle.rmdir()
    with store.reading(one):
        assert counters.all(one) == {}
        with pytest.raises(store.CannotWrite, match="busy"), store.transaction(two):
            counters.increment(two, "x")
    assert counters.all(one) == {}
    with store.transaction(two):
        counters.increment(two, "x")
    assert counters.all(one) == {"x": 1}
    one.close()
    two.close()


def test_set_aside_of_nothing_is_harmless(tmp_path: Path) -> None:
    path = str(tmp_path / "agentctl.db")
    assert store.set_aside(path, "x") == f"{path}.x"
    (tmp_path / "agentctl.db.y").touch()
    with pytest.raises(StateUnusable, match="already there"):
        store.set_aside(path, "y")
