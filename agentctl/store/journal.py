"""Which journal a file system can bear, and what `doctor` asks of a database file.

None of this runs on an ordinary start: only when a database is made, or examined.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, suppress

from agentctl.errors import StateUnusable
from agentctl.store.faults import explain, is_busy

COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, under the database's name."""

# WAL needs memory shared by all who open the file; over a network there is none,
# and the database would be silently damaged.
# fmt: off
NETWORK_TYPES = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "gpfs", "glusterfs", "lustre",
    "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb", "smb2", "smb3",
    "smbfs", "vboxsf", "vmhgfs",
    "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.goofys", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs", "fuse.vmhgfs-fuse",
})
# fmt: on


def uri(path: str, options: str) -> str:
    """The SQLite address of a file; `options` as `mode=ro`."""
    quoted = os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file://{quoted}?{options}"


def readable_uri(path: str) -> str:
    """The address under which an existing database can be read without writing beside it.

    Raises StateUnusable where its newest changes would be left out.
    """
    plain = uri(path, "mode=ro")
    try:
        with closing(sqlite3.connect(plain, uri=True, timeout=0)) as connection:
            connection.execute("PRAGMA user_version").fetchone()
        return plain
    except sqlite3.OperationalError as error:
        if is_busy(error):
            return plain
    with suppress(FileNotFoundError):
        if os.stat(f"{path}-wal").st_size > 0:
            raise StateUnusable(
                f"database {path} has changes in its -wal file, unreadable where nothing can be written",
                hint="run any agentctl command once where the directory can be written",
            )
    # Nobody can write here, so nobody changes the file while it is read without locks.
    return uri(path, "mode=ro&immutable=1")


def journal_advice(path: str) -> tuple[str, str | None]:
    """`wal` or `delete` for a database at `path`, and why where it is not `wal`."""
    directory = os.path.dirname(os.path.abspath(path))
    kind = file_system_type(directory, _mounts())
    if kind in NETWORK_TYPES:
        return "delete", f"{directory} is on a network file system ({kind}), where WAL is not safe"
    refusal = _try_wal(path) if os.access(directory, os.W_OK) else None
    if refusal is not None:
        return "delete", f"the file system of {directory} refuses WAL ({refusal})"
    return "wal", None


def is_on_network(directory: str) -> bool:
    """Whether other machines may use the same directory."""
    return file_system_type(directory, _mounts()) in NETWORK_TYPES


def file_system_type(directory: str, mounts: str) -> str | None:
    """Type of the file system that holds `directory`, from the text of mountinfo."""
    target = os.path.realpath(directory)
    found: str | None = None
    longest = -1
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        # A later mount on the same point hides the earlier one.
        if inside and len(point) >= longest:
            found, longest = right.split(" ")[0], len(point)
    return found


def check(path: str) -> list[str]:
    """What SQLite finds wrong with the file, one line each; empty is fine."""
    if not os.path.exists(path):
        return []
    try:
        with closing(sqlite3.connect(readable_uri(path), uri=True)) as connection:
            lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            faults = [] if lines == ["ok"] else lines
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
                faults.append(f"row {row} of {table} points to a row of {parent} that is not there")
            return faults
    except StateUnusable as error:
        return [error.message]
    except sqlite3.Error as error:
        return [explain(error, path).message]


def dump_version(path: str) -> int:
    """Schema version of the file, read without changing it; 0 where there is none."""
    if not os.path.exists(path):
        return 0
    try:
        with closing(sqlite3.connect(readable_uri(path), uri=True)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise explain(error, path) from error


def set_aside(path: str, label: str) -> str:
    """Rename a database with its companions to `path.label`; the new name. For a rebuild."""
    target = f"{path}.{label}"
    if os.path.lexists(target):
        raise StateUnusable(f"{target} is already there", hint="move it away first")
    # Companions first: a new database must never find the old one's -wal under its name.
    for suffix in (*COMPANIONS, ""):
        with suppress(FileNotFoundError):
            os.rename(path + suffix, target + suffix)
    return target


def _mounts() -> str:
    """This process's mount table; empty where the system has none to read."""
    if not sys.platform.startswith("linux"):
        return ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _unescape(field: str) -> str:
    """mountinfo writes blank, tab, newline and backslash in octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def _try_wal(path: str) -> str | None:
    """Use WAL on a scratch file beside `path`; the refusal, or None where it works.

    Tried on a scratch file because a database whose header says WAL on a file
    system that cannot do it can be opened by nobody.
    """
    scratch = f"{path}.trial-{os.getpid()}"
    try:
        with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            connection.execute("CREATE TABLE trial (x)")
        return None if mode == "wal" else f"journal mode stays {mode}"
    except sqlite3.Error as error:
        return str(error)
    finally:
        for suffix in (*COMPANIONS, ""):
            with suppress(OSError):
                os.unlink(scratch + suffix)
