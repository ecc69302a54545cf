"""Looking at an installation and its state: what is fine, what is not, and the remedy.

Looks and says; changes nothing but a scratch file. Works where the state is missing,
damaged or read-only: whatever cannot be looked at is itself a finding.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import ParamSpec

from agentctl.core import containers
from agentctl.core.ids import short
from agentctl.core.model import Held, Session
from agentctl.errors import AgentctlError
from agentctl.host import flock, processes, shell
from agentctl.host.programs import find_program
from agentctl.ops.reconcile import manifest
from agentctl.ops.reconcile.observe import read_agent, read_exit
from agentctl.ops.sessions.doubt import doubtful
from agentctl.ops.state.doctor_agents import (
    Finding,
    Level,
    adapters,
    configuration,
    few,
    own_sessions,
    stores,
)
from agentctl.ops.state.prune import is_lost, strays
from agentctl.runtime import OPTIONAL, Runtime
from agentctl.store import locks as directory_locks
from agentctl.store import outbox, sessions
from agentctl.store.db import Database, check, connect, dump_version, journal_advice, reading
from agentctl.store.migrations import SCHEMA_VERSION

P = ParamSpec("P")

ANSWERS_WITHIN = 5.0
"""Seconds that another process gets to tell whether it sees a lock."""

LITTLE_SPACE = 100 * 1000 * 1000
SYSTEM_PATH = "/usr/bin:/bin"
"""Where a shim looks for the system's tools."""

SLIP = timedelta(minutes=1)
NAMED = 5
"""Objects named in one finding; the rest is counted."""

PROBE = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
try:
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(7)
"""


def examine(runtime: Runtime) -> list[Finding]:
    """Every finding, in the order of what rests on what."""
    found: list[Finding] = []
    for look in (_python, _system, configuration, _state_directory, _locking, _clock, _database):
        found += _guarded(look, runtime)
    unreadable = _guarded(stores, runtime)
    db = _open(runtime)
    if db is not None:
        try:
            for inside in INSIDE:
                found += _guarded(inside, runtime, db)
            found += _guarded(own_sessions, runtime, db, unreadable)
        finally:
            db.close()
    return found + unreadable + _guarded(adapters, runtime)


def _guarded(look: Callable[P, Iterable[Finding]], *args: P.args, **named: P.kwargs) -> list[Finding]:
    """What a look finds; one that cannot be finished is a finding, too."""
    subject = look.__name__.strip("_").replace("_", " ")
    try:
        return list(look(*args, **named))
    except AgentctlError as error:
        return [Finding(Level.FAIL, subject, error.message, error.hint)]
    except OSError as error:
        remedy = (
            f"look at the owners and modes: ls -ld {shlex.quote(error.filename)}" if error.filename else None
        )
        return [
            Finding(
                Level.FAIL, subject, f"{error.strerror}: {error.filename or 'cannot be looked at'}", remedy
            )
        ]


def _python(runtime: Runtime) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if os.access(runtime.interpreter, os.X_OK):
        yield Finding(Level.OK, "python", f"{version}, {runtime.interpreter}")
    else:
        remedy = "reinstall agentctl; until then sessions end without their hooks"
        yield Finding(Level.FAIL, "python", f"{runtime.interpreter} cannot be run", remedy)


def _system(runtime: Runtime) -> Iterator[Finding]:
    shell_path = find_program("sh", "/", runtime.environ)
    if shell_path is None or not os.access("/bin/sh", os.X_OK):
        yield Finding(
            Level.FAIL, "sh", "there is no /bin/sh, or PATH leads to no sh", "install a POSIX shell"
        )
    else:
        yield Finding(Level.OK, "sh", shell_path)
    missing = [
        name for name in ("mv", "sleep", "date") if find_program(name, "/", {"PATH": SYSTEM_PATH}) is None
    ]
    if missing:
        yield Finding(
            Level.FAIL,
            "tools",
            f"not in {SYSTEM_PATH}: {', '.join(missing)}",
            "install the system's core tools",
        )


def _state_directory(runtime: Runtime) -> Iterator[Finding]:
    path = runtime.paths.state
    if not os.path.isdir(path):
        yield _missing_state(path)
        return
    stat = os.stat(path)
    if stat.st_uid != os.geteuid():
        yield Finding(
            Level.FAIL,
            "state",
            f"{path} belongs to user {stat.st_uid}",
            "set AGENTCTL_HOME to a directory of yours",
        )
    elif stat.st_mode & 0o077:
        remedy = f"chmod 700 {shlex.quote(path)}"
        yield Finding(
            Level.WARN, "state", f"{path} is open to others (mode {stat.st_mode & 0o777:o})", remedy
        )
    for directory in (path, runtime.paths.sessions):
        if os.path.isdir(directory) and not os.access(directory, os.W_OK | os.X_OK):
            remedy = "give yourself write permission, or set AGENTCTL_HOME to another directory"
            yield Finding(Level.FAIL, "state", f"{directory} cannot be written", remedy)
    space = os.statvfs(path)
    free = space.f_bavail * space.f_frsize
    if free < LITTLE_SPACE:
        yield Finding(
            Level.WARN, "state", f"{free // 1_000_000} MB are free for {path}", "agentctl prune frees some"
        )
    else:
        yield Finding(Level.OK, "state", f"{path}, {free // 1_000_000_000} GB free")


def _missing_state(path: str) -> Finding:
    if os.path.lexists(path):
        return Finding(Level.FAIL, "state", f"{path} is not a directory", "move it away")
    parent = os.path.dirname(path)
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    if os.access(parent, os.W_OK | os.X_OK):
        return Finding(Level.OK, "state", f"{path} is not there yet: the first launch makes it")
    remedy = "set AGENTCTL_HOME to a directory you can write to"
    return Finding(Level.FAIL, "state", f"{path} cannot be made: {parent} cannot be written", remedy)


def _locking(runtime: Runtime) -> Iterator[Finding]:
    """Really tried, between two processes, where the liveness locks are."""
    state = runtime.paths.state
    if not os.path.isdir(state) or not os.access(state, os.W_OK):
        return
    scratch = os.path.join(state, f"doctor-{os.getpid()}.lock")
    try:
        held = flock.hold(scratch)
        try:
            told = shell.run(
                f"exec {shlex.join((runtime.interpreter, '-I', '-S', '-c', PROBE, scratch))}",
                cwd="/",
                environ=runtime.environ,
                limit=ANSWERS_WITHIN,
            )
        finally:
            os.close(held)
        works = told.code == 7 and flock.probe(scratch) is Held.NO
    finally:
        if os.path.exists(scratch):
            os.unlink(scratch)
    if works:
        yield Finding(Level.OK, "flock", "another process sees a lock that is held")
    else:
        remedy = "set AGENTCTL_HOME to a directory on a local disk"
        yield Finding(Level.FAIL, "flock", f"locks do not work on the file system of {state}", remedy)
    mode, why = journal_advice(runtime.paths.database)
    if mode != "wal" and why is not None:
        yield Finding(Level.WARN, "file system", why, "set AGENTCTL_HOME to a directory on a local disk")


def _clock(runtime: Runtime) -> Iterator[Finding]:
    booted = processes.booted_at()
    if booted is not None and booted > runtime.now + SLIP:
        yield Finding(Level.WARN, "clock", "it is set before the machine's start", "set the clock")
    else:
        yield Finding(Level.OK, "clock", f"{runtime.now:%Y-%m-%d %H:%M:%S} UTC")


def _database(runtime: Runtime) -> Iterator[Finding]:
    path = runtime.paths.database
    if os.path.lexists(runtime.paths.state) and not os.path.isdir(runtime.paths.state):
        return  # said of the state
    if os.path.isdir(path):
        remedy = "move it away, then agentctl doctor --rebuild if there were sessions"
        yield Finding(Level.FAIL, "database", f"{path} is a directory", remedy)
        return
    if os.path.exists(path) and not os.access(path, os.R_OK):
        fact = f"{path} cannot be read: permission denied"
        yield Finding(Level.FAIL, "database", fact, f"chmod 600 {shlex.quote(path)}")
        return
    if not os.path.exists(path):
        lost = [name for name in strays(runtime, ()) if manifest.read(runtime, name) is not None]
        if lost:
            fact = f"{path} is gone, but there are directories of {len(lost)} sessions"
            yield Finding(Level.FAIL, "database", fact, "agentctl doctor --rebuild")
        else:
            yield Finding(Level.OK, "database", f"{path} is not there yet: the first launch makes it")
        return
    faults = check(path)
    for fault in faults[:NAMED]:
        yield Finding(Level.FAIL, "database", fault, "agentctl doctor --rebuild makes a new one")
    if faults:
        return
    version = dump_version(path)
    if version > SCHEMA_VERSION:
        fact = f"{path} has schema version {version}; this agentctl knows versions up to {SCHEMA_VERSION}"
        yield Finding(Level.FAIL, "database", fact, "install the agentctl that wrote it, or a later one")
        return
    db = _connected(runtime)
    try:
        with reading(db):
            live = len(sessions.unsettled(db))
        if db.note:
            level = Level.FAIL if db.read_only else Level.WARN
            out = "give yourself write permission" if db.read_only else None
            yield Finding(level, "database", db.note, out)
        yield Finding(Level.OK, "database", f"{path}, sound, schema {version}, {live} unsettled sessions")
    finally:
        db.close()


def _open(runtime: Runtime) -> Database | None:
    """The database for the looks that need it; None where it has been reported already."""
    if not os.path.exists(runtime.paths.database):
        return None
    try:
        return _connected(runtime)
    except AgentctlError:
        return None


def _connected(runtime: Runtime) -> Database:
    return connect(
        runtime.paths.database, busy=OPTIONAL, read_only_ok=True, belongings=runtime.paths.sessions
    )


def _directories(runtime: Runtime, db: Database) -> Iterator[Finding]:
    """Session directories without a row, and rows without a directory."""
    with reading(db):
        ids = sessions.all_ids(db)
    lost: list[str] = []
    orphans: list[str] = []
    for name in strays(runtime, ids):
        (lost if is_lost(runtime, db, name) else orphans).append(name)
    if lost:
        fact = f"directories of sessions that the database does not know: {_named(lost)}"
        yield Finding(Level.FAIL, "sessions", fact, "agentctl doctor --rebuild brings them back")
    if orphans:
        fact = f"directories without a row: {_named(orphans)}"
        yield Finding(Level.WARN, "sessions", fact, "agentctl prune deletes them after an hour")
    bare = sorted(name for name in ids if not os.path.isdir(runtime.paths.session(name).directory))
    if bare:
        fact = f"rows without a directory: {_named(bare)}"
        yield Finding(Level.WARN, "sessions", fact, "their logs are gone; agentctl prune forgets them")
    if not (lost or orphans or bare):
        yield Finding(Level.OK, "sessions", f"{len(ids)} rows, each with its directory")


def _contradictions(runtime: Runtime, db: Database) -> Iterator[Finding]:
    """Rows that say something else than the files of their sessions."""
    with reading(db):
        rows = [*sessions.unsettled(db), *sessions.recent(db)]
    wrong = [f"{short(row.id)}: {what}" for row in rows for what in _contradicting(runtime, row)]
    for what in wrong[:NAMED]:
        remedy = "agentctl doctor --rebuild --force takes what the files say"
        yield Finding(Level.WARN, "session", what, remedy)
    if len(wrong) > NAMED:
        yield Finding(Level.WARN, "session", f"and {len(wrong) - NAMED} more like these")


def _contradicting(runtime: Runtime, row: Session) -> Iterator[str]:
    files = runtime.paths.session(row.id)
    agent, record = read_agent(files), read_exit(files)
    if agent is not None and row.pid is not None and agent.pid != row.pid:
        yield f"its row says pid {row.pid}, its pid file {agent.pid}"
    if record is not None and record.code is not None and row.is_settled and row.exit_code != record.code:
        yield f"its row says exit code {row.exit_code}, its exit file {record.code}"
    written = manifest.read(runtime, row.id)
    if written is not None and written[0].revision > row.revision:
        yield f"its manifest is newer than its row (revision {written[0].revision} after {row.revision})"
    elif written is None and os.path.exists(files.manifest):
        yield "its manifest cannot be read"


def _doubtful(runtime: Runtime, db: Database) -> Iterator[Finding]:
    for fact, remedy in doubtful(runtime, db):
        yield Finding(Level.WARN, "session", fact, remedy)


def _settled_locks(runtime: Runtime, db: Database) -> Iterator[Finding]:
    """Directories that are still held for sessions which have ended."""
    with reading(db):
        live = {row.id for row in sessions.unsettled(db)}
        held = [one for one in directory_locks.all(db) if one.session_id and one.session_id not in live]
    for one in held:
        fact = f"{one.directory} is still held for session {short(one.session_id or '')}, which has ended"
        yield Finding(Level.WARN, "lock", fact, f"agentctl unlock {shlex.quote(one.directory)}")


def _deliveries(runtime: Runtime, db: Database) -> Iterator[Finding]:
    with reading(db):
        failed = [row for row in outbox.list_all(db, failed_only=True) if row.may_be_retried]
    if failed:
        fact = f"{len(failed)} hooks or webhooks were given up, the last: {failed[0].last_error}"
        yield Finding(
            Level.WARN, "deliveries", fact, "agentctl hooks list --failed, agentctl hooks retry --all"
        )


def _waiting_posts(runtime: Runtime, db: Database) -> Iterator[Finding]:
    with reading(db):
        waiting = outbox.waiting(db)
    if waiting:
        fact = f"{len(waiting)} webhooks are not posted yet, the last {waiting[-1].last_error}"
        yield Finding(Level.WARN, "deliveries", fact, "set that variable as it was, then agentctl reap")


def _young_rows(runtime: Runtime, db: Database) -> Iterator[Finding]:
    """Rows of the future: the clock was set back since."""
    with reading(db):
        rows = [*sessions.unsettled(db), *sessions.recent(db, limit=1)]
    future = [row.id for row in rows if row.created_at > runtime.now + SLIP]
    if future:
        fact = f"the clock was set back: these sessions began in the future: {_named(future)}"
        yield Finding(Level.WARN, "clock", fact, "set the clock; fuses count by it")


def _containers(runtime: Runtime, db: Database) -> Iterator[Finding]:
    """Live sessions whose command may leave a container behind."""
    with reading(db):
        live = [row for row in sessions.unsettled(db) if containers.client_of(row) is not None]
    if live:
        names = _named([row.id for row in live])
        fact = f"these sessions run containers, which outlive the command: {names}"
        remedy = "stop them with agentctl stop, which looks for the container, and not by killing the command"
        yield Finding(Level.WARN, "containers", fact, remedy)


INSIDE = (
    _containers,
    _directories,
    _contradictions,
    _doubtful,
    _settled_locks,
    _deliveries,
    _waiting_posts,
    _young_rows,
)
"""Looks at a state that can be opened, in the order of what rests on what."""


def _named(names: list[str]) -> str:
    return few([short(name) for name in names], NAMED)
