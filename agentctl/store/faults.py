"""What SQLite's and the file system's errors mean to a user.

The one place where a raw error becomes StateUnusable. Must not open a database.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from agentctl.errors import StateUnusable

# Raised by statements that are wrong, not by the state of a disk: bugs stay bugs.
_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.NotSupportedError, sqlite3.DataError)

# "disk I/O error" where there was no room for a page, or for the -shm file of WAL.
_WRITE_FAULTS = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

REBUILD = "agentctl doctor --rebuild makes a new one from the sessions' own files"


class CannotWrite(StateUnusable):
    """The state cannot be written now: busy, read-only or full. Reading may still work."""


def primary(error: BaseException) -> int:
    """SQLite's result code without its extension; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: BaseException) -> bool:
    """Another connection is in the way; the same statement may work later."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_DELETE_NOENT:
        # The last to leave another connection has just deleted the journal that this one was to delete.
        return True
    return primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def explain(error: Exception, path: str, *, busy: timedelta | None = None) -> StateUnusable:
    """The failure that a user is told: the object, the fact, the way out."""
    if isinstance(error, OSError):
        return _explain_os(error, path)
    code, extended = primary(error), int(getattr(error, "sqlite_errorcode", 0))
    if is_busy(error):
        return busy_for(path, busy)
    if code == sqlite3.SQLITE_READONLY:
        return read_only(path)
    if code == sqlite3.SQLITE_FULL or extended in _WRITE_FAULTS:
        return full(path)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return _explain_unopened(path)
    if code == sqlite3.SQLITE_ERROR:
        return damaged(path, f"its tables are not as its version says: {error}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StateUnusable(
        f"database {path} cannot be used: {error} ({name})", hint="agentctl doctor tells more"
    )


def busy_for(path: str, busy: timedelta | None) -> CannotWrite:
    waited = f" for {busy.total_seconds():g} s" if busy else ""
    return CannotWrite(
        f"database {path} is busy{waited}: another agentctl holds it",
        hint=f"try again; lsof {path} shows who holds it",
    )


def read_only(path: str) -> CannotWrite:
    return CannotWrite(
        f"database {path} cannot be written: it, its directory or its file system is read-only",
        hint="give yourself write permission, or set AGENTCTL_HOME to a directory of your own",
    )


def full(path: str) -> CannotWrite:
    return CannotWrite(
        f"database {path} cannot be written: the disk or the quota is full",
        hint=f"free some space on the file system of {os.path.dirname(path)}",
    )


def damaged(path: str, detail: str) -> StateUnusable:
    return StateUnusable(f"database {path} is damaged ({detail})", hint=REBUILD)


def is_directory(path: str) -> StateUnusable:
    return StateUnusable(
        f"database {path} is a directory", hint="move it away, or set AGENTCTL_HOME to another directory"
    )


def newer(path: str, *, found: int, known: int) -> StateUnusable:
    return StateUnusable(
        f"database {path} has schema version {found}; this agentctl knows versions up to {known}",
        hint="install a newer agentctl: the one that wrote this database, or later",
    )


def _explain_unopened(path: str) -> StateUnusable:
    if os.path.isdir(path):
        return is_directory(path)
    if os.access(path, os.R_OK):
        # The file itself is fine, so its -wal, -shm or -journal cannot be made beside it.
        return read_only(path)
    return StateUnusable(
        f"database {path} cannot be opened: no permission, or it has gone",
        hint=f"look at the owner and mode: ls -ld {os.path.dirname(path)} {path}",
    )


def _explain_os(error: OSError, path: str) -> StateUnusable:
    if error.errno in _NO_SPACE:
        return full(path)
    if error.errno in _NO_PERMISSION:
        return read_only(path)
    if isinstance(error, IsADirectoryError):
        return is_directory(path)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StateUnusable(
            f"database {path} cannot be opened: {os.path.dirname(path)} is not a directory",
            hint="move what is there away, or set AGENTCTL_HOME to a directory of your own",
        )
    return StateUnusable(
        f"database {path} cannot be opened: {error.strerror or error}",
        hint="look at the path, or set AGENTCTL_HOME to a directory of your own",
    )


@contextmanager
def guarded(path: str, busy: timedelta | None = None) -> Iterator[None]:
    """Let no raw error of the database leave the block. Bugs and foreign errors pass."""
    try:
        yield
    except _BUGS:
        raise
    except sqlite3.Error as error:
        raise explain(error, path, busy=busy) from error
